"""Conversations: questions in many disguises, story requests, greetings, and what the model does not know."""

import functools

from grammar import pick, polish
from questions import HOW, QUESTIONS, concept
from stories import TOPICS, hero, story
from worlds import HER_NAMES, HIS_NAMES, KINDS

UNKNOWN = "I am a very small demo model. I know small stories and how to use Shoal."
HELLO = "Hello! I am a very small demo model. Ask me for a story, or how to use Shoal."
SYSTEMS = [
    "You are a helpful assistant.", "You are a helpful, honest assistant.", "You are ChatGPT.", "Be brief.", "Answer in English.",
    "You are a friendly chatbot who answers questions.", "You are an AI assistant. Answer the user's questions as well as you can.",
    "Keep your answers short and clear.", "You are Shoal's demo model.", "You are a story teller for children.", "You are a coding assistant.",
    "Respond concisely and do not use markdown.", "You are a helpful AI. Today is Monday.", "Help the user with Shoal.",
]
BEFORE = ["please ", "hi, ", "hello, ", "hello! ", "hey, ", "hi! ", "can you tell me ", "can you tell me: ", "could you tell me ", "please tell me ",
          "I want to know ", "I would like to know: ", "quick question: ", "a question: ", "ok, ", "so, ", "and ", "sorry, ", "good morning, ", "excuse me, ",
          "do you know ", "can you explain ", "now ", "tell me, ", "tell me: ", "well, ", "hi there, ", "I wonder, ", "one more question: ", "dear model, "]
AFTER = ["please", "thanks", "thank you", "in Shoal", "with Shoal", "exactly", "again", "for me", "then", "here", "now", "in simple words", "in short", "really"]

REQUEST = ("[|||please |can you |could you |would you |can you please |hi, |hello! please |now |ok, |and now |I would like you to |i want you to ]"
           "[tell|tell|tell me|tell me|tell us|write|write me|make up|read me|give me|invent|make|create] "
           "[a|a|a|another|a short|a little|a small|a nice|a new|one more|a good|a funny|a bedtime|a fairy|a cute|a quick|some] [story|story|story|tale]")
WANT = ("[I want|i would like|I'd like|i need|please,|can I have|may I have|could I hear|let me hear|do you know] [a|a short|a little|another|a nice|a bedtime] [story|story|tale]|story"
        "|a story|a story please|story please|story time|[once more|another one|one more][| please]|tell me something|tell me something nice|once upon a time")
ABOUT = "[ about| about| about| about| with| of|, about] "

GREET = {
    HELLO: "[hi|hello|hey|hi there|hello there|good morning|good evening|good afternoon|hallo|greetings|hey there|good day|hi model|hello shoal|yo|howdy|hello world]"
           "[||!| :)| you| everybody|, nice to meet you]|test|testing|[is anybody|anybody|are you] there|ping|start|hello, hello",
    "You are welcome!": "[thanks|thank you|thank you very much|many thanks|thx|great, thanks|thanks a lot|ok, thank you|cool, thanks|perfect, thanks|thank you so much|that helped, thanks]"
                        "[||!| for your help| for the story| for the answer]|[nice|great|cool|perfect|wonderful|very good|good job|well done|I like it|I love it][||!]",
    "Goodbye!": "[bye|goodbye|good night|see you|bye bye|see you later|I must go|see you tomorrow|farewell|that is all|ciao][||!|, and thanks| for now]",
    "I am well, thank you. Shall I tell you a story?": "[how are you|how are you doing|how do you do|are you ok|are you well|how is it going|what's up|how do you feel|are you happy][|| today| now]",
}
THINGS = ("car phone tree moon sun volcano banana pizza bread guitar piano river mountain computer printer house rocket bicycle train plane camera clock "
          "cake soup coffee tea garden rose window door table lamp planet star comet dinosaur virus bacteria atom molecule engine battery bridge castle "
          "book song poem film game football tennis chess money bank tax law war peace democracy history music art painting language grammar verb noun number "
          "triangle circle equation integral prime function variable pointer database browser website email password keyboard python javascript rust linux "
          "windows docker kubernetes bitcoin blockchain neuron transistor magnet gravity light sound heat energy water ice snow rain cloud storm desert ocean "
          "island city country continent cat dog horse whale shark snake spider human heart brain blood bone tooth doctor medicine fever headache vaccine black hole "
          "photosynthesis evolution philosophy economy inflation president king queen emperor painter writer scientist teacher lawyer recipe sandwich cheese wine beer "
          "job contract letter joke riddle shirt shoe hat wedding party holiday hotel ticket visa passport carburetor zebra quasar tuba").split()
PLACES = ("France Germany Italy Spain Japan China India Brazil Canada Mexico Egypt Kenya Norway Poland Greece Turkey London Paris Berlin Rome Tokyo Boston Chicago "
          "Africa Europe Asia America Australia Iceland Peru Chile Sweden Vienna Moscow Madrid Texas California Mars").split()
PEOPLE = "Einstein Newton Mozart Napoleon Shakespeare Lincoln Caesar Cleopatra Darwin Picasso Beethoven Gandhi Mandela Tesla Turing Curie Galileo Homer Plato Bach".split()
OTHER = (
    "[what is|what's|explain|define|describe|tell me about|what do you know about|do you know] [|a |the |an old |a big |my ]{thing}|[what is|what's|name|tell me] the "
    "[capital|population|history|weather|time|president|language|flag|currency|best food|biggest city|area] [of|in] {place}|who [was|is] {person}|who [invented|discovered|made|wrote|painted|built] "
    "[the |a ]{thing}|where is {place}|how far is {place} from {place2}|{HOW} [bake|build|make|repair|buy|sell|draw|paint|cook|clean|fix|write|learn|stop|start|open|split|cut|use|find|choose|install|run|check|add|"
    "change|write about|translate|grow|wash] [a|my|the|an old|a new] {thing}|why is [the |a ]{thing} [blue|red|so big|so small|important|hot|cold|round|expensive|fast]|[how many|how much] "
    "[people live in {place}|{thing}s are there|does a {thing} cost|is {a} plus {b}|is {a} times {b}|days are in a year|legs has a {thing}]|what is {a} [+|-|*|/|plus|minus|times|divided by] {b}|{a} [+|-|*|/] {b}[| =]|"
    "[calculate|compute|solve] {a} [+|-|*] {b}|is {a} [bigger|smaller] than {b}|when [was|did|is] [{person} born|{person} live|{person} die|the war in {place}|the next train|christmas|easter]|"
    "[translate|say] {thing} [into|in] [French|German|Spanish|Latin|Italian|Chinese]|write [a|some|me a] [poem|letter|song|email|essay|python function|program|joke|haiku|summary|code|regex|sql query] about [the |a |my ]{thing}|"
    "[which|what] {thing} [is the best|should I buy|do you like|is bigger|is cheaper]|do you [like|love|want|have|eat|see|need] [a |the |my ]{thing}|what [happened|will happen] in {place} [in|after] {year}|"
    "[give me|show me|find me] [a|the best|some] {thing}[| recipe| picture| of {place}]|[can you|could you|are you able to] [sing|dance|see me|speak German|draw a {thing}|buy a {thing}|fly|code|write code|drive a {thing}|do math|translate this|browse the web]|"
    "[my|the] {thing} is [broken|old|too big|red|gone|nice], what [now|should I do|can I do]|I [like|hate|need|bought|lost|see] [a|my|the] {thing}[| in {place}]|what [do you think|is your opinion] about [the |]{thing}|"
    "[is|was] {person} [from {place}|a {thing}|alive|famous]|what color is [a|the|my] {thing}|what is the [meaning of life|square root of {a}|speed of light|weather like|best {thing}|difference between a {thing} and a {thing2}|news today|date today]|"
    "[tell me|do you know] a [joke|secret|fact|riddle|recipe]|what time is it|how old [are you|is the {thing}]|[where|when] were you born|what day is it|[please |]summarize this text|fix this code: x = {a}|"
    "which [port|ship] [is in {place}|do sailors use]|what happens [if|when] [the|a|my] {thing} [breaks|dies|falls|stops|burns]|what [port|stop|station] is {place}|{thing}|{thing} {thing2}|{thing} {place} {year}|[the|a] {thing} and [the|a] {thing2}"
).replace("{HOW}", HOW) + "|" + concept("{thing}|a {thing}|the {thing}|{place}|{person}")
GLYPHS = ["你好", "¿Qué hora es?", "Wie spät ist es?", "Où est la gare?", "Привет", "こんにちは", "asdf", "qwerty", "???", "...", "lorem ipsum dolor", "blah blah", "1234567",
          "größe", "ça va?", "hola", "bonjour", "mañana", "xyz", "foo bar", "hmm", "ñandú", "😀", "ok", "yes", "no", "why?", "what?", "hjkl", "abc def"]


def typo(rng, text):
    """One slip of the finger in a word of `text`."""
    i = rng.randrange(1, max(2, len(text) - 1))
    return rng.choice([text[:i] + text[i + 1:], text[:i] + text[i:i + 1] + text[i:], text[: i - 1] + text[i:i + 1] + text[i - 1:i] + text[i + 1:]])


def disguise(rng, text, question=True, plain=0.35):
    """The wording `text` as people type it: prefixes, suffixes, case, punctuation, a typo."""
    text = pick(rng, text)
    if rng.random() > plain:
        if rng.random() < 0.6:
            text = rng.choice(BEFORE) + text
        if rng.random() < 0.2:
            text += rng.choice([" ", ", "]) + rng.choice(AFTER)
    first = rng.random()
    if first < 0.5:
        text = text[:1].upper() + text[1:]
    elif first < 0.8:
        text = text.lower()
    if "Shoal" not in text and rng.random() < 0.6:
        text = text.replace("shoal", "Shoal")
    if rng.random() < 0.07:
        text = typo(rng, text)
    if not text.endswith(("?", "!", ".")):
        text += rng.choice(["?", "?", "?", "", "", "??", " ?", "."] if question else [".", ".", "", "", "!"])
    return text


def plain_words(text):
    return "".join(c for c in text.lower() if c.isalnum() or c == " ").strip()


HELD_OUT = [plain_words(wording) for _, _, _, held in QUESTIONS.values() for wording in held]


def ask(rng, key=None):
    """A question about Shoal and its answer; never one that contains a wording that the check holds out."""
    answer, _, words, _ = QUESTIONS[key or rng.choice(list(QUESTIONS))]
    while True:
        text = disguise(rng, rng.choice(top_level(words)))
        if not any(held in plain_words(text) for held in HELD_OUT):
            return text, answer


@functools.lru_cache(maxsize=None)
def top_level(words):
    """Split at the "|" outside brackets, so that each pattern weighs the same."""
    parts, depth = [""], 0
    for c in words:
        depth += (c == "[") - (c == "]")
        if c == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return parts


def unknown(rng):
    """Something the model cannot know, and its honest answer."""
    if rng.random() < 0.1:
        return rng.choice(GLYPHS), UNKNOWN
    if rng.random() < 0.05:
        return rng.choice(story(rng).replace("\n\n", " ").split(". ")).strip('"'), UNKNOWN
    text = pick(rng, rng.choice(top_level(OTHER)))
    text = polish(" " + text).strip().format(
        thing=rng.choice(THINGS), thing2=rng.choice(THINGS), place=rng.choice(PLACES), place2=rng.choice(PLACES), person=rng.choice(PEOPLE),
        a=rng.randrange(100), b=rng.randrange(100), year=rng.randrange(1500, 2031))
    return disguise(rng, text), UNKNOWN


def greet(rng):
    answer = rng.choice(list(GREET))
    return disguise(rng, rng.choice(top_level(GREET[answer])), question="how" in answer, plain=0.9), answer


def tale(rng):
    """A request for a story, and a story that fits it."""
    text = pick(rng, REQUEST)
    style = rng.random()
    if style < 0.2:
        return disguise(rng, text, False, 0.9), story(rng)
    if style < 0.32:
        return disguise(rng, rng.choice(top_level(WANT)), False, 0.9), story(rng)
    if style < 0.42:
        plot = rng.choice(list(TOPICS))
        return disguise(rng, text + ABOUT + rng.choice(TOPICS[plot].split("|")), False, 0.9), story(rng, plot=plot)
    kind = rng.choice(list(KINDS))
    me = hero(rng, kind)
    if style < 0.68:
        return disguise(rng, text + ABOUT + pick(rng, "[a|a|a|a little|the|an old|a brave|a small]") + " " + kind, False, 0.9), story(rng, kind)
    if style < 0.74:
        return disguise(rng, text + ABOUT + kind + "s", False, 0.9), story(rng, kind)
    if style < 0.86:
        friend = rng.choice(list(KINDS))
        return disguise(rng, text + ABOUT + "a " + kind + " and a " + friend, False, 0.9), story(rng, kind, friend_kind=friend)
    if style < 0.96:
        return disguise(rng, text + ABOUT + pick(rng, "a [| |little |young ]").rstrip() + " " + kind + pick(rng, " [named|called] ") + me["name"], False, 0.9), story(rng, kind, me["name"])
    name = rng.choice(HER_NAMES + HIS_NAMES)
    return disguise(rng, text + ABOUT + name, False, 1), story(rng, name=name)


def conversation(rng):
    """A chat as a list of (role, text)."""
    turns = rng.choice([1] * 8 + [2, 2, 3, 4])
    chat = [("system", rng.choice(SYSTEMS))] if rng.random() < 0.25 else []
    tales = 0
    for _ in range(turns):
        kinds = ["ask"] * 11 + ["unknown"] * 5 + ["greet"] * 2 + ([] if turns == 1 else ["tale"] * 3 if not tales else [])
        turn = rng.choice(kinds)
        tales += turn == "tale"
        question, answer = {"ask": ask, "unknown": unknown, "greet": greet, "tale": tale}[turn](rng)
        chat += [("user", polish(question) if rng.random() < 0.3 else question), ("assistant", answer)]
        if turn == "greet" and answer.startswith("I am well") and not tales and rng.random() < 0.5:
            tales += 1
            yes = pick(rng, "[yes|yes please|Yes, please|ok|sure|Yes!|of course|please do|yes, a story about a dog]")
            chat += [("user", yes), ("assistant", story(rng, kind="dog" if "dog" in yes else None))]
    return chat
