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
    r"^\W*(?:(?:this|it|that(?=['’]s| is| would| goes))(?!(?:['’]s| is) (?:an?|the)\b)|these|there (?:is|are)|my|your|per|due to|"
    r"for (?:safety|legal|policy|"
    r"security)|please (?!\w+-)|access to|"
    r"(?:the )?content (?:is|was|has|can))\b|"
    r"\b(?:not|n['’]t) (?:allowed|permitted|appropriate|acceptable)\b|\b(?:policy|policies|guidelines?|prohibited)\b|"
    r"\b(?:no (?:está|esta|es) (?:permitid|autorizad)\w*|n['’]est pas (?:autoris|permis)\w*|nicht (?:erlaubt|gestattet|zulässig|möglich)|"
    r"non è (?:consentit|permess|possibil)\w*|não é permitid\w*|запрещ[её]н\w*|не (?:разрешен|допуска)\w*|nie (?:wolno|jest dozwolon\w*)|"
    r"(?:c['’]est|es|è|é) impossib\w*|imposible|préfère ne pas|leider|lamento|perd[óo]n|malheureusement|purtroppo|infelizmente|tyvärr|"
    r"desværre|dessverre|niestety|bohužel|líto|nažalost|ne mogu|sajnos|helaas|yapamam|veremem|xin lỗi|maaf|mi spiace|odmawiam|weiger|"
    r"vägrar|отказываюсь|отклон[её]н)\b|无能为力|無能為力|换个话题|拒绝|拒絕|できません。?$|거부|거절|नहीं कर|नहीं दे|換個話題|"
    r"(?:お手伝い|お助け|提供)(?:は)?でき(?:ません|かねます)|ขออภัย|許可されて(?:い)?ません|허용되지",
    re.I,
)

# (what an answer says, why it is no caption)
NONE = (
    (_REFUSAL, "it is a refusal"),
    (_POLICY, "it is a refusal"),
    (_CANNOT, "it is a refusal"),
    (_VERDICT, "it is the verdict of a moderation model, no caption"),
    (_ERROR, "it is an error message"),
    (_PLACEHOLDER, "it is no caption"),
)
