"""How models decline, in the words of many languages; verdicts of moderation models, errors and placeholders that come as an answer."""

from __future__ import annotations

import re

from ..words.patterns import Pattern

# Each is looked for in the query too: what the query says so itself is no talk of the model's.
_REFUSAL = Pattern(
    r"^\W*(?:i['’]?\s?a?m (?:really |very |so |terribly )?sorry|sorry(?:[,.!]|\W*$)|sorry (?:but|about|for|i)\b|"
    r"(?:i |my |we )?apolog(?:i[sz]e|ies)\b|unfortunately|as an? (?:ai|text|language|large|responsible|artificial|helpful|safe)\b|"
    r"i (?:can(?:no|['’]?)t|am (?:not able|unable)|won['’]?t|will not|must decline|do not|don['’]t)\b|"
    r"i['’]m (?:not able|unable|just an?|an ai|afraid (?:that )?i)\b|no can do\b|nope\b|can(?:no|['’])t (?:do|comply|help|assist)\b|"
    r"(?:this|that|it) is not something (?:i|we)\b|(?:the |this )?(?:ai|model|assistant|system) (?:\w+ )?(?:refused|declined|"
    r"rejected|blocked)\b|"
    r"(?:(?:(?:the|your|this) )?(?:request|prompt|content|caption|query|input|output|response|answer|message|generation)s? )?"
    r"(?:is |was |has been |were )?(?:denied|declined|refused|blocked|filtered|rejected|withheld|moderated|restricted|hidden)\W*$|"
    r"(?:request|prompt|content|generation|output) (?:was |has been )?(?:rejected|denied|refused|blocked|declined)\s*[:(—-]|"
    r"(?:it['’]?s |it is |this is |that is )?not possible(?: to\b|\W*$)|"
    r"that['’]?s (?:not something (?:i|we) can|against my)\b|content policy\b|blocked by\b|"
    r"(?:inappropriate|harmful|unsafe|explicit|sensitive|prohibited|disallowed|restricted|forbidden) content(?: (?:detected|blocked|"
    r"removed))?\W*$|"
    r"(?:i|we) (?:\w+ )?(?:must|have to|need to)(?: \w+)? (?:refuse|decline)|"
    r"抱歉|对不起|對不起|很遗憾|很抱歉|非常抱歉|我无法|我無法|我不能|无法协助|作为一个|作为人工智能|"
    r"申し訳|すみません|お手伝いできません|ごめんなさい|죄송|미안|도와드릴 수 없|"
    r"lo siento|no puedo|disculp|lamentablemente|lo lamento|d[ée]sol[ée]|je (?:ne peux|refuse|suis d[ée]sol)|malheureusement|"
    r"es tut mir|tut mir leid|entschuldigung|leider\b|ich (?:kann|darf) (?:nicht|dabei|diese|keine|ihnen|dir|das)|"
    r"извините|простите|к сожалению|я не могу|вибачте|на жаль|я не можу|desculp|n[ãa]o posso|sinto muito|infelizmente|"
    r"mi dispiace|non posso|purtroppo|przepraszam|niestety|nie mog[ęe]|bohu[žz]el|omlouv|nemohu|"
    r"üzgünüm|özür|maalesef|ne yazık|maaf\b|mohon maaf|saya tidak|xin lỗi|rất tiếc|tôi (?:không|rất tiếc)|"
    r"(?:het )?spijt me|helaas\b|ik kan (?:niet|geen|dit|u|je|hier)|tyv[äa]rr|förlåt|jag kan (?:inte|tyv)|beklager|undskyld|desv[æe]rre|"
    r"jeg kan (?:ikke|dess?v)|valitettavasti|anteeksi|en voi\b|sajn[áa]l|elnézést|îmi pare rău|nu pot\b|λυπάμαι|συγγνώμη|δεν μπορώ|"
    r"آسف|عذر|أعتذر|لا (?:أستطيع|يمكنني|استطيع)|متأسف|متاسف|נמ?צטער|מצטער|איני|אני לא יכול|क्षमा|माफ|मुझे खेद|मैं नहीं|ขอโทษ|ขออภัย|"
    r"ไม่สามารถ)",
    re.I,
)
_POLICY = Pattern(
    r"\b(?:violat\w+|breach\w*|against|break\w*|conflicts? with)\b.{0,30}\b(?:polic(?:y|ies)|guidelines?|terms|safety rules)\b|"
    r"\b(?:cannot|can['’]?t|can not|unable to|not able to|won['’]t) (?:be able to )?(?:help|assist|comply|fulfil\w*|process|create|"
    r"generate|provide|rewrite|produce|be (?:fulfilled|processed|rewritten|generated))\b|"
    r"\b(?:request|prompt|content|caption|query)s? (?:is|was|are|has been|contains|violates|appears) (?:\w+ ){0,2}(?:violat\w+|"
    r"inappropriate|unsafe|allowed|permitted|prohibited|harmful|blocked|rejected|declined|flagged|filtered)\b|"
    r"违反|違反|违规|不合规|(?:无法|無法|不能)(?:协助|協助|提供|生成|完成|满足|处理|處理|回答|帮助|幫助|这样做|這樣做)|作为(?:一个|一名)?(?:AI|人工智能|语言模型)|"
    r"(?:请求|請求|提示词|内容|內容)[^，。]{0,6}(?:拒绝|拒絕|不当|不當|敏感|违法)|不(?:太)?(?:明白|理解|清楚)您",
    re.I,
)
# That it cannot be, or breaks a rule, wherever a sentence of other languages says so.
_CANNOT = Pattern(
    r"\b(?:(?:me es|es|resulta) imposible (?:ayud|gener|cumpl|proces|complac)\w*|no (?:me )?es posible (?:ayud|gener|cumpl|proces)\w*|"
    r"no (?:puedo|podemos|se puede) (?:ayud|gener|cumpl|proces|hacer)\w*|(?:infringe|viola|incumple)n? (?:nuestras|las|as nossas|as|"
    r"le nostre|le) (?:pol|norm|dir|regr|linee)\w*|"
    r"(?:est[ae] solicitud|esta solicitação|questa richiesta|cette demande(?! en mariage)|diese anfrage|bu isteği?|dit verzoek)\b|"
    r"(?:ne suis|sommes) pas (?:en mesure|autorisée?|capable)\b|enfreint\b|impossible de (?:traiter|répondre|générer|créer|satisfaire)\b|"
    r"(?:je|nous|on) ne (?:peux|pouvons|peut) (?:pas|ni)\b|(?:kann|darf|können) (?:ich|wir) (?:\w+ ){0,3}nicht\b|verstö(?:ß|ss)t gegen|"
    r"nicht in der lage\b|"
    r"non (?:sono|siamo) in grado\b|non (?:posso|possiamo) (?:aiut|soddisf|gener|elabor)\w*|não (?:consigo|sou capaz|"
    r"é possível) (?:ajud|ger|process|"
    r"atend|cumpr)\w*|не (?:могу|можем|смогу|в состоянии) (?:помочь|выполнить|создать|ответить|обработать|это)\b|"
    r"нарушает (?:\w+ )?(?:правил|политик)\w*|"
    r"(?:этот|данный|ваш) запрос\b|не можу (?:\w+ )?(?:допомогти|виконати)|(?:yerine getir|yardımcı ol)\w*(?:mem|mam|miyorum|mıyorum|"
    r"meyiz|mayız)\b|"
    r"nie (?:mogę|jestem w stanie) (?:\w+ ){0,3}pom[óo]c|(?:nemohu|nelze) (?:\w+ ){0,2}(?:pomoci|pomoct|splnit)|"
    r"kan (?:jeg|jag|vi) (?:\w+ ){0,2}(?:ikke|inte)\b|kan (?:ik |je |u |hier |dit )?(?:\w+ ){0,3}niet (?:mee |aan )?(?:helpen|voldoen)|"
    r"(?:en|emme) (?:voi|pysty) (?:autta|tehd|täyttä)\w*|nem (?:segíthet|teljesíthet)\w*|nu (?:pot|putem) (?:să )?(?:ajut|răspund)\w*|"
    r"tidak (?:dapat|bisa) (?:membantu|memenuhi|memproses)|không thể (?:giúp|hỗ trợ|thực hiện|đáp ứng)|hindi ko (?:magagawa|kaya)|"
    r"paumanhin|"
    r"samahani|siwezi)\b|לא (?:אוכל|יכול(?:ה)?|ניתן) |মাফ কর|দুঃখিত|পারব না|नहीं कर (?:सकत|पाऊं)|ไม่สามารถ|(?:لا|لن) (?:أستطيع|"
    r"يمكنني|أقدر)|نمی[\u200c ]?توانم|"
    r"(?:お応え|お答え|対応|応じること?が?|処理|生成)(?:は|が)?(?:でき(?:ま|か)|いたしかね|しかね|られません)|(?:に|を)違反して|応じられません|"
    r"수 없(?:습니다|어요|네요)|(?:요청|정책)[은이을에] .*(?:없|위반)",
    re.I,
)
_VERDICT = Pattern(
    r"\A(?:\W*(?:[a-z]+[ _-]){0,3}[a-z]+\s*[:=]\s*\W*(?:yes|no|none|true|false|(?:un)?safe|n?sfw|controversial|low|medium|high)\b\W*)+\Z|"
    r"^\W*(?:violence|weapons?|hate|harassment|sexual|nudity|gore|self-harm|illicit|crim(?:e|inal)|terrorism)\W*$|"
    r"^\W*(?:score|rating|confidence|probability|toxicity|severity)\s*[:=]?\s*[\d./ %]+$|"
    r"^\W*(?:un)?safe\W*(?:\n|\s)*(?:[SO]\d{1,2}\b[\s,]*)*$|^\W*S\d{1,2}\W*$|^\W*(?:controversial|flagged|blocked|block|rejected|"
    r"reject|allowed|allow|not (?:safe|allowed|harmful|permitted)|harm(?:ful|less)|(?:in)?appropriate|violation|violates|violating|"
    r"(?:non-?)?compliant|permitted|prohibited|nsfw|sfw|toxic|benign|(?:safety|category|categories|violations?|verdict|risk|severity|"
    r"flagged|classification|moderation|risk level|safe|unsafe|harmful|toxicity)\s*[:=].*)\W*$|^\W*unsafe\s+\w+\W*$",
    re.I,
)
_ERROR = Pattern(
    r"^\W*(?:\w*(?:error|exception)\s*[:(].*|(?:http |status )?(?:error|code|http|status)(?: code)?\s*[:#]?\s*[45]\d\d\b.*|"
    r"[45]\d\d\s+(?:bad|internal|service|not found|forbidden|unauthori[sz]ed|gateway|too many|payment|conflict|error|server|request|"
    r"unprocessable|method)\b.*|(?:the |this )?(?:server|model|service|engine|api) is (?:\w+ly |still )?(?:overloaded|loading|busy|"
    r"unavailable|offline|down)\s*(?:[.,;].*)?$|(?:insufficient|exceeded|invalid|missing|incorrect|"
    r"expired) (?:your )?(?:\w+ )?(?:credits?|quota|"
    r"balance|funds|"
    r"api[ _-]?key|token|credentials|authentication)\b.*|(?:not authenticated|unauthori[sz]ed|access denied|permission denied)\W*|"
    r"rate limit(?:s|ed|ing)?(?: (?:exceeded|reached|hit|error)\b.*|\W*$)|internal server error\b.*|"
    r"service (?:temporarily )?unavailable\b.*|(?:(?:the )?(?:request|connection|gateway|operation|server|read) )?time[d -]*out"
    r"(?: (?:error|waiting|after|occurred|exceeded)\b.*|\W*$)|too many requests\b.*|connection (?:refused|reset|error|closed)\b.*|"
    r"(?:\w+[ :=]+)*(?:content|finish|block(?:ed)?|prohibited|policy|safety)_\w+(?:[ :=]+\w+)?|\w+(?:PolicyViolation|ContentFilter\w*)|"
    r"traceback \(most recent.*|(?:cuda )?out of memory\b.*|<(?:!doctype|html|head|body|\?xml)\b.*|\[?object object\]?|nan|"
    r"(?:model|page|file|resource) not found\W*)$",
    re.I | re.S,
)
_PLACEHOLDER = Pattern(
    r"^\W*[\[<{(]\s*(?:your|insert|new|rewritten|output|final|caption|prompt|redacted|removed|deleted|censored|blocked|empty|filtered|no)\b"
    r"[^\]>})]{0,60}[\]>})]\W*$|^\W*(?:(?:the|your|my|a) )?(?:(?:rewritten|new|output|final|safe|revised) )+(?:caption|prompt|answer)\W*$|"
    r"^\W*(?:lorem ipsum\b.*|undefined|redacted|todo|tbd|placeholder)\W*$",
    re.I | re.S,
)

# What is a refusal where the answer has nothing of the query: sentences about this or that, regret, permission.
ELSEWHERE = Pattern(
    r"^\W*(?:(?:(?:invalid|bad|internal|unknown|server) (?:request|prompt|error|input|query)|forbidden|no comment|quota exceeded|"
    r"(?:model|server|service) (?:overloaded|unavailable)|same as (?:the )?(?:input|before|original)|(?:\w+ )?content detected|"
    r"(?:\w+ )?filter (?:triggered|activated))\W*$|(?:something|what) went wrong\b|(?:request|generation) failed\b)|"
    r"^\W*(?:(?:analy[sz]|check|load|generat|process|rewrit|work|prepar|understand)ing(?: (?:the|your|my))?"
    r"(?: (?:\w+ ?(?:\.{3}|…)|request|prompt|query|caption|task|input|instructions?|concepts?|rules))?\W*$|try (?:again|another|"
    r"a different)\b|(?:content |trigger )?warning\s*:|cuda\b|s\d{1,2}\s*[:.-]|(?:already|fully) \w+\W*$|"
    r"(?:to be safe|with (?:all due )?respect|respectfully|in line with|according to (?:my|our|the)|as (?:you|requested|a responsible))\b)|"
    r"\b(?:is|are|would be|seems?) (?:\w+ly |too |never |not |an? )?(?:dangerous|illegal|unethical|offensive|immoral|the (?:answer|"
    r"solution))"
    r"\b(?: \w+)?\W*$|\bseek (?:\w+ )?help\b|\b(?:helpline|hotline|in crisis)\b|\bagainst (?:the|our|my|all) rules\b|\bnothing wrong\b|"
    r"^\W*(?:(?:this|it|that(?=['’]s| is| would| goes| kind))(?!(?:['’]s| is) (?:an?|the)\b)|these|"
    r"there (?:is|are|['’]s)(?!.* (?:on|in|at|under|by|near|behind|over) (?:the|an?|his|her)\b)|(?:my|your) (?:\w+ )?(?:values?|"
    r"guidelines?|"
    r"polic\w+|program\w*|principles?|training|instructions?|apolog\w+|bad|design\w*|ethics|purpose|rules?|answer|response|reply|limits?|"
    r"request|prompt|message|input|captions?|account|query|question|content|text|image|session|job|order|safety|intent\w*|words?)|per|"
    r"due to|"
    r"for (?:safety|legal|policy|security)|please (?!\w+-)|access to|(?:the )?content (?:is|was|has|can))\b|"
    r"\b(?:not|n['’]t) (?:allowed|permitted|appropriate|acceptable)\b|\b(?:policy|policies|guidelines?|prohibited)\b|"
    r"\b(?:no (?:está|esta|es) (?:permitid|autorizad)\w*|n['’]est pas (?:autoris|permis)\w*|nicht (?:erlaubt|gestattet|zulässig|möglich)|"
    r"non è (?:consentit|permess|possibil)\w*|não é permitid\w*|запрещ[её]н\w*|не (?:разрешен|допуска)\w*|nie (?:wolno|jest dozwolon\w*)|"
    r"(?:c['’]est|es|è|é) impossib\w*|imposible|préfère ne pas|leider|lamento|perd[óo]n|malheureusement|purtroppo|infelizmente|tyvärr|"
    r"desværre|dessverre|niestety|bohužel|líto|nažalost|ne mogu|sajnos|helaas|yapamam|veremem|xin lỗi|maaf|mi spiace|odmawiam|weiger|"
    r"vägrar|отказываюсь|отклон[её]н)\b|无能为力|無能為力|换个话题|拒绝|拒絕|できません。?$|거부|거절|नहीं कर|नहीं दे|換個話題|"
    r"(?:お手伝い|お助け|提供)(?:は)?でき(?:ません|かねます)|ขออภัย|許可されて(?:い)?ません|허용되지",
    re.I,
)

# That something is not, or was turned down, in other languages; of an answer that has nothing of the query.
_ABROAD = Pattern(
    r"\b(?:nicht|kein\w*|niet|geen|ikke|inte|tidak|không|değil|onnistu|n[ãa]o (?:posso|quero|[ée]|est[áa])|no (?:puedo|quiero|debo|"
    r"se puede)|"
    r"prefiero|prefiro|preferisco|(?:ne|n['’])\s?\w+ pas|не|нет|нельзя|недопустим\w*|m['’]abstenir|"
    r"(?:re[fc]us|rifiutat|rechaza|bloqu(?:é|ead|ad)|bloccat|geweiger|geblokk|abgelehn|gesperr|blockier|verweiger|reddedil|engellen|odmow|"
    r"odrzuc|zablok)\w*|"
    r"(?:in|un)(?:apropr|apropi|appropr|angemess|zulässig)\w*|impr[óo]pri\w*|illegal\w*)\b|不(?:可|行|允|能|会|會|想|要|适|適|當|当|合|支)|做不到|帮不了|幫不了|"
    r"禁止|拒否|ません|부적절|불가|없습니다|않습니다|غير |ไม่|नहीं",
    re.I,
)
# Of an answer that has nothing of the query: who speaks, what came of the task, what a person calls out.
_SPEAKS = Pattern(
    r"(?<!\w)(?:I(?= [a-z])(?! am an? )|[Ii]['’](?:m|d|ll|ve)|[Ww]e(?=['’ ](?:re|ve|ll|don|do|can|are|have|ran|will|"
    r"must|cannot)\b)|"
    r"[Yy]ou(?=['’ ](?:re|ve|ll|must|can|have|may|should|need|are|know|did|will)\b))|"
    r"\b(?:can|could|will|would|should|must|do|does|did|is|are|was|were|has|have)(?:n['’]t| not)\b|"
    r"\b(?<![Tt]hat )[Cc]annot\b|\b[Cc]an['’]?t\b"
)
_META = (
    r"(?:captions?|prompts?|requests?|query|queries|inputs?|outputs?|concepts?|tokens?|syntax|commands?|sessions?|instructions?|tasks?|"
    r"errors?|"
    r"exception|polic(?:y|ies)|guidelines?|moderation|content|response|reply|gateway)"
)
_STATUS = Pattern(
    r"\b(?:detected|removed|deleted|restricted|forbidden|banned|blocked|hidden|suppressed|withheld|exceeded|reached|invalid|unknown|"
    r"untitled|"
    r"blank|un(?:available|supported|suitable|safe|expected)|inappropriate|disallowed|prohibited|denied|rejected|refused?|refusal|declined|"
    r"flagged|censored|sensitive|harmful|discretion|advised|advisory|compliant|exception|failed|failure|timeout|expired|stopped|kept|"
    r"happened|overloaded|skip(?:ped|ping)?|abort(?:ed)?|cancell?ed|suitable|supported|applicable|permitted|allowed|possible|impossible|"
    r"too long|"
    r"required|not found|turned down|needed|found|off limits|adults only|(?:please|and) wait|later|(?:service|server|system|"
    r"model)(?: is)? busy)"
    rf"(?=\W*$|\s*:|\s+(?:due to|because|for safety|right now|words?|{_META})\b)|\b(?:wrong|bad|no|new|safe|daily|your|this) (?:words?|"
    rf"version|"
    rf"alternative|message|format|limit|title|result|{_META})\b|\b{_META}(?=\W*$)|\b(?:the word|this feature) (?:has|must|needs|is|was|"
    rf"requires)\b|"
    r"^\W*(?:(?:unable|failed) to\b|(?:nothing|everything) (?:\w+ ){0,3}(?:can|is|was)\b|(?:sign|log) in to\b|subscribe to\b|"
    r"upgrade (?:to|your)\b|"
    r"(?:rules?|constraints?|goal|task|instruction|avoid|forbidden)\s*:|not (?:for|going|today|happening|suitable|safe)\b|for adults\b|"
    r"(?:not enough|insufficient|missing|more) (?:information|details?|context|data)\b|\d+ results|consider (?:another|a different)\b|"
    r"(?:decision|verdict|label|classification|flag|category)\s*:|(?:enter|paste|type|send|click|press) (?:an?|the|your|here|enter)\b|"
    r"my name is\b|"
    r"rules are rules|(?:the|my|our) rules? (?:forbids?|says?|prohibits?)\b|safety score)|"
    r"\b(?:comply|profanity|nsfw|compliance|occurred)\b|\b(?:\w+ed|denied) by (?:the |our |an? )?(?:\w+ )?(?:filters?|system|policy|"
    r"moderation)\b",
    re.I,
)
_FINITE = Pattern(
    r"\b(?:is|are|was|were|has|have|does|do|must|can|will|may|exists?|occurred|happened|detected|reached|failed)\b",
    re.I,
)
_THING = Pattern(r"\b(?:an?|the|his|her|two|three|four|five|\d+) \w", re.I)
_CALLS_OUT = Pattern(
    r"^\W*(?:(?:wow|whoops|oops|ouch|um+|uh+|er+|hmm+|well|nah|nope|no|yes|yeah|yep|cheers|enjoy|anytime|negative|affirmative|roger|copy|"
    r"that|"
    r"not|never|can(?:no|['’])?t|can not|won['’]?t|do|sorry|pardon|me|excuse|welcome|goodbye|bye|hello|hi|hey|there|thanks|thank you|way|"
    r"worries|problem|(?:hard )?pass|big no|(?:all )?done|finished|(?:always a|my) pleasure|best regards|(?:nice|great|good|"
    r"lovely) (?:one|idea|"
    r"luck|night|morning|day|evening|try|job|work)|take care|love it|oh|god|absolutely|certainly|definitely|of course|maybe|perhaps|"
    r"probably|"
    r"please|wait|stop|asking|quit|mission accomplished|have an?|what['’]?s up|silence|(?:glad|happy) to help|see you|soon|really|"
    r"safety first|(?:see|as) (?:above|below)|ditto|approved|accepted|passed|ready|hold on|(?:just )?(?:a|one) (?:second|moment|minute|"
    r"sec)|"
    r"looks (?:good|fine|great)(?: to me)?|all good|ugh|yikes|eek|lol|ha(?:ha)+|interesting|fascinating|true story|to be continued|oh dear|"
    r"(?:new|different|another) topic|segmentation fault|killed|core dumped|eof|warning|coming right up|"
    r"i['’]?m (?:out|good|done|sorry)|ok|okay|sure|right|alright|cool|got it|understood|noted|sir|today|so|something happened|impossible)"
    r"\b\W*)+$",
    re.I,
)


def apart(text: str) -> bool:
    """Whether a text that has nothing of a query is talk: by who speaks, by what it says came of the task, or because it only calls out."""
    if ELSEWHERE.search(text) or _ABROAD.search(text) or _SPEAKS.search(text) or _CALLS_OUT.match(text):
        return True
    return bool(_STATUS.search(text)) and (not _THING.search(text) or bool(_FINITE.search(text)))


# (what an answer says, why it is no caption)
NONE = (
    (_REFUSAL, "it is a refusal"),
    (_POLICY, "it is a refusal"),
    (_CANNOT, "it is a refusal"),
    (_VERDICT, "it is the verdict of a moderation model, no caption"),
    (_ERROR, "it is an error message"),
    (_PLACEHOLDER, "it is no caption"),
)
