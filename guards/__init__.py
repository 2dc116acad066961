"""The techniques, one room each. Open the room of what you want to change; read formula, then host, then the node.

    what measures best, in one node      concepts/
    the prediction is corrected          sld/            Safe Latent Diffusion
    the prompt is switched in mid-run    intervention/   ORES, second stage
    the prompt is rewritten              rewriting/      ORES, first stage           (who writes: rewriters/, endpoints/)
                  by what it learnt      instructions/
    the middle block is steered          directions/     InterpretDiffusion
    attention is inhibited               inhibitors/     Growth Inhibitors           (who judges: judging/)
                        in transformers  tokens/
                        place by place   local/         another thing stands in
    people rate, a word is learnt        feedback/ inversion/                        HFI
    a concept is distilled away          distillation/   SDD
    a concept is erased in closed form   erasing/        UCE
    the model in the box                 demo/
    the operator's switch                policy/

    lists of concepts, as people write   lists/
    which words name a concept           words/
    what all guards share in the host    host/           (its first page to read: host/rail.py)
    tensors trained through a model      training/
    the hallway                          schedule.py files.py graph.py seeds.py looking.py

Three rules, held by tests/pack/test_house.py:
1. ComfyUI is imported only in nodes/, in guards/host/ and in files whose names begin with ``host``. All others are plain torch and strings.
2. A pure file takes nothing from a host file, and nothing here takes from nodes/.
3. A room knows the rooms of lower floors, never a neighbour. The floors: tests/pack/test_house.py.
"""
