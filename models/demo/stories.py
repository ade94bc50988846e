"""Small stories from a grammar: a hero, a place, a problem, an attempt, help, an end."""

from grammar import pick, polish, render
from worlds import FEMALE, HER_NAMES, HIS_NAMES, KINDS, MALE, WORLDS

OPEN = [
    "once upon a time there was a {adj} {kind} [named|called] {name}. {name} lived {home}.",
    "once upon a time, {home}, there lived a {adj} {kind} [named|called] {name}.",
    "once upon a time, a {adj} {kind} [named|called] {name} lived {home}.",
    "there once was a {adj} {kind} [named|called] {name} who lived {home}.",
    "{name} was a {adj} {kind} who lived {home}.",
    "a {adj} {kind} [named|called] {name} lived {home}.",
]
LIKES = [
    "every day {he} {moved} to {place} and [played until the evening|looked for something new|sang a little song].",
    "{he} loved [sunny mornings|the smell of rain|to look at the stars|quiet evenings] and {he} [was always kind|smiled a lot"
    "|liked to ask questions].",
    "{name} had a good friend, {a_friend} named {fname}, and they [met every morning|played together every day"
    "|told each other everything].",
    "everyone [knew {him} well|liked {him}], because {he} [always had a kind word|was never in a hurry|was good at listening].",
]
# Each plot: beats in order, each beat a list of variants.
PLOTS = {
    "lost": [
        ["{name} had a {thing}. It was {his} favorite thing in the whole world.",
         "{name} owned only one treasure, a {thing}, and {he} took it everywhere."],
        ["One [morning|day|afternoon], the {thing} was gone. \"Oh no!\" [cried|said] {name}. \"Where is my {thing}?\"",
         "But one [morning|day|afternoon] {name} could not find the {thing}. {he} felt [very sad|worried] and [began|started] to cry."],
        ["{he} looked near {place}, but it was not there. {he} looked near {place2}, but it was not there either.",
         "{name} searched near {place} and near {place2}. {he} [looked everywhere|turned over every stone], but found nothing."],
        ["Then {fname} the {fkind} came by. \"Why are you sad?\" asked {fname}. \"I lost my {thing},\" said {name}.",
         "On the way home {name} met {a_friend} named {fname}. \"I lost my {thing},\" said {name}. \"Have you seen it?\""],
        ["\"Do not worry,\" said {fname}. \"Two can look better than one. When did you see it last?\" {name} thought [hard|for a while].",
         "\"I have not seen it,\" said {fname}, \"but I will help you look.\" So they [looked together|searched side by side]."],
        ["\"I was at {place3} yesterday,\" said {name}. They {moved} there at once, and {spot} they saw something [small|bright].",
         "They {moved} to {place3} and looked [carefully|slowly]. Suddenly {fname} [called|shouted], \"Come here! Look {spot}!\""],
        ["It was the {thing}! {name} [jumped for joy|laughed with joy]. \"Thank you, {fname}! You are a true friend.\"",
         "There it was, the {thing}, [a little dirty but safe|safe and sound]. {name} hugged {fname} and said thank you [again and again|three times]."],
        ["From that day on, {name} [took good care of the {thing}|always knew where {his} {thing} was], and {he} and {fname} played with it together.",
         "That evening they sat together and {name} said, \"It is good to have a {thing}, but it is better to have a friend.\""],
    ],
    "stuck": [
        ["One [morning|day|afternoon] {name} {moved} past {place} and heard a small voice. \"Help! Help!\" it [cried|called].",
         "One day, when {name} was on the way to {place}, {he} heard [somebody crying|a strange sound]. {he} stopped and listened."],
        ["It was {fname} the {fkind}, stuck {trap}. \"I cannot get out,\" said {fname}. \"I have been here [all night|since the morning].\"",
         "{name} followed the sound and found {a_friend} named {fname}, stuck {trap}. {fname} was [cold and tired|very frightened]."],
        ["\"Do not be afraid,\" said {name}. \"I will help you.\" {he} pulled and pulled, but {fname} did not move.",
         "{name} tried to pull {fname} out. {he} pulled with all {his} strength, but it was [too hard|not enough]."],
        ["\"I am not strong enough alone,\" said {name}. \"Wait here. I will [bring help|find somebody].\"",
         "{name} sat down and thought. \"One is not enough,\" {he} said. \"But two may be enough.\""],
        ["{he} {moved} to {place2} as fast as {he} could and found {a_third} named {tname}. \"Please come! {fname} needs us.\"",
         "Near {place2} lived {a_third} named {tname}. {name} told {tname} everything, and {tname} came at once."],
        ["{name} pulled, and {tname} pulled too. One, two, three! With a loud pop, {fname} was free.",
         "Together they pulled [slowly and carefully|as hard as they could]. At last {fname} came out, [dirty but happy|tired but safe]."],
        ["\"Thank you, {name}! Thank you, {tname}!\" said {fname}. \"Come to my home. I have {food} for all of us.\"",
         "{fname} [laughed and cried|smiled] at the same time. \"You did not leave me alone,\" said {fname}. \"I will never forget it.\""],
        ["So the three friends ate {food} and [told stories until the moon came up|laughed until it was late].",
         "Since that day the three of them were friends. When one had a problem, the others came to help."],
    ],
    "brave": [
        ["But {name} had a secret. {he} was afraid of {fear}.",
         "{name} was happy most of the time, but {he} was afraid of one thing: {fear}."],
        ["When the others [played|laughed] together, {name} often stayed at home. \"I am not brave,\" {he} [thought|said] sadly.",
         "\"What if something bad happens?\" {he} thought, and {he} [hid in a corner|closed {his} eyes]."],
        ["One day {fname} the {fkind} came to visit. \"Why do you never come with us?\" asked {fname}.",
         "{name} had a friend, {a_friend} named {fname}. \"You look sad,\" said {fname} one day. \"What is wrong?\""],
        ["{name} told the truth. \"I am afraid of {fear},\" {he} said in a very small voice.",
         "At first {name} said nothing. Then {he} [whispered|said], \"I am afraid of {fear}. Please do not laugh.\""],
        ["{fname} did not laugh. \"Everyone is afraid of something,\" said {fname}. \"We can try it together, one small step at a time.\"",
         "\"I would never laugh,\" said {fname}. \"I was afraid too, when I was small. Come, I will stay next to you.\""],
        ["The next day they {moved} to {place}. {name}'s heart was beating fast. {he} took one small step, and then another.",
         "So they {moved} to {place} together. {name} [was shaking|wanted to turn back], but {fname} stayed close and said, \"You can do it.\""],
        ["Nothing bad happened! {name} opened {his} eyes and [looked around|smiled]. It was [beautiful|not so bad at all].",
         "After a while {name} saw that {he} was still safe. {he} took a deep breath, and the fear became smaller."],
        ["\"I did it!\" [cried|shouted] {name}. \"You did,\" said {fname}. \"To be brave is to be afraid and to try anyway.\"",
         "\"Look at me!\" [cried|said] {name}. {he} was so proud that {he} [danced in a circle|could not stop smiling]."],
        ["From then on {name} was only a little afraid, and when {he} was, {he} thought of {fname}.",
         "That night {name} slept well and dreamed of [new adventures|all the things {he} would do next]."],
    ],
    "share": [
        ["One [morning|day|autumn day] {name} found a lot of {food} near {place}. \"All of this is mine!\" {he} said.",
         "One day {name} came to {place} and could not believe {his} eyes. There was {food}, more than {he} could eat."],
        ["{he} [carried|took] everything home and hid it {spot}, so that nobody would see it.",
         "\"I will tell nobody,\" {he} thought, and {he} hid the {food} {spot}."],
        ["Soon {fname} the {fkind} came by. \"I am so hungry,\" said {fname}. \"Do you have something to eat?\"",
         "In the evening there came {a_friend} named {fname}. {fname} looked [thin and tired|cold and hungry] and asked for a little food."],
        ["\"No,\" said {name}. \"I have nothing.\" {fname} [nodded|went away] sadly. {name} ate alone, but the {food} did not taste good.",
         "{name} shook {his} head and {fname} went away. Then {name} ate alone. It was very quiet, and {he} was not happy."],
        ["That night {name} could not sleep. {he} thought of {fname}, [hungry and alone|who had nothing to eat].",
         "\"Why do I feel so bad?\" thought {name}. \"I have so much, and {fname} has nothing at all.\""],
        ["The next morning {he} took half of the {food} and {moved} to {place2}, where {fname} lived.",
         "So {he} got up early, took as much as {he} could carry, and {moved} to {place2} to find {fname}."],
        ["\"I am sorry,\" said {name}. \"I was not honest. Please eat with me.\" {fname} [smiled|was very happy] and they sat down together.",
         "\"This is for you,\" said {name}. \"I am sorry about yesterday.\" {fname} [smiled and said thank you|gave {him} a big hug]."],
        ["They ate and talked and laughed. \"How strange,\" said {name}. \"Now the {food} tastes much better.\"",
         "Together they ate the {food}, and it was the best meal of {name}'s life."],
        ["Later, when {name} had nothing to eat, {fname} came with a full basket. \"Friends share,\" said {fname}.",
         "Since that day {name} never ate alone again, and there was always enough for everyone."],
    ],
    "make": [
        ["One day {name} had an idea. \"I will make {make} for {fname} the {fkind},\" {he} said. \"Tomorrow is {fname}'s birthday.\"",
         "{name} had a friend, {a_friend} named {fname}. It was almost {fname}'s birthday, and {name} wanted to make {make}."],
        ["{he} {moved} to {place} to find everything {he} needed, and then {he} began to work.",
         "{he} started early in the morning and worked [without a break|very carefully] near {place}."],
        ["It was almost done when {bad}. All the work was for nothing! {name} sat down and cried.",
         "But in the afternoon {bad}. \"Oh no,\" said {name}. \"Now I have no present for {fname}.\""],
        ["{a_third} named {tname} heard {him}. \"Why do you cry?\" asked {tname}. {name} told the whole story.",
         "Just then there came {a_third} named {tname}. \"That was a good plan,\" said {tname}. \"What went wrong?\""],
        ["\"Do not give up,\" said {tname}. \"I am good at this. Let us [try again|start again], and this time we do it together.\"",
         "\"You did the work of two,\" said {tname}. \"Now there are two of us. Let us try once more.\""],
        ["{name} held one side and {tname} held the other. They worked until the [sun went down|stars came out].",
         "{tname} showed {name} a better way. They worked side by side and [sang while they worked|talked about many things]."],
        ["At last it was ready, {make}, even [better|stronger] than before. {name} [clapped|smiled] with joy.",
         "When it was done, they stepped back and looked. It was {make}, and it was [beautiful|just right]."],
        ["The next day {fname} saw the present and could not speak. \"Is this for me?\" {fname} asked. \"It is wonderful!\"",
         "The next morning they gave it to {fname}. \"Happy birthday!\" they [called|cried]. {fname} [laughed with joy|was very happy]."],
        ["They had a small party with {food}, and {name} learned that [it is good to try again|work is easier with a friend].",
         "\"{tname} helped me,\" said {name}. So the three of them [ate {food}|danced and sang] until it was late."],
    ],
    "journey": [
        ["All {his} life {name} had wanted to see {far}. \"Today I will go,\" {he} said one morning.",
         "{name} had heard many stories about {far}. One day {he} [decided to go there|wanted to see it with {his} own eyes]."],
        ["{he} packed some {food} and said goodbye to {his} home. The [sun was shining|morning was cool and clear].",
         "{he} took some {food} and left early, when [everyone was still asleep|the sun was just coming up]."],
        ["At {place} {he} met {a_friend} named {fname}. \"Where are you going?\" asked {fname}. \"To {far},\" said {name}.",
         "After a while {name} met {fname} the {fkind}. \"I am going to {far},\" said {name}. \"Do you know the way?\""],
        ["\"That is far away,\" said {fname}. \"May I come with you? I have never seen it.\" So they went on together.",
         "\"I know the way,\" said {fname}, \"but it is long. I will come with you, so you are not alone.\""],
        ["Soon they came to {block}. \"We cannot [go on|get past this],\" said {name}, and {he} wanted to turn back.",
         "On the second day they came to {block}. {name} [looked at it and sighed|did not know what to do]."],
        ["But {fname} had an idea. \"If I help you and you help me, we can do it,\" said {fname}. And they did.",
         "\"We must think,\" said {fname}. They thought for a long time. Then they found a way, and each helped the other."],
        ["They were [tired|wet and tired], so they rested {rest} and shared the {food}.",
         "That night they slept {rest}, and the stars looked down on them."],
        ["In the morning they saw it at last: {far}. It was more beautiful than {name} had dreamed.",
         "And then, there it was, {far}! {name} stood still and [said nothing for a long time|could not believe it]."],
        ["\"Are you happy now?\" asked {fname}. \"Yes,\" said {name}, \"and the best part was the way with you.\"",
         "When they came home, everyone wanted to hear the story, and {name} and {fname} told it many times."],
    ],
    "night": [
        ["One evening {name} {moved} too far from home. {he} was looking for {food} and forgot the time.",
         "One day {name} followed a [blue butterfly|strange song|shiny beetle] past {place}, and did not look where {he} was going."],
        ["When {he} looked up, it was dark. {he} did not know this place. \"Where am I?\" {he} asked, but nobody answered.",
         "Soon night came. Everything looked different in the dark, and {name} could not find the way home."],
        ["{he} [went left and then right|tried one way and then another], but {he} always came back to the same place. {he} felt very small.",
         "{he} called for help, but only the wind answered. {name} hid {rest} and began to cry."],
        ["Then {he} saw a small light. It was {a_friend} named {fname} with a little light. \"Are you lost?\" asked {fname} [kindly|softly].",
         "\"Who is crying there?\" said a soft voice. It was {fname} the {fkind}. \"Do not be afraid. I know every {way_one} here.\""],
        ["\"Yes,\" said {name}. \"I want to go home, but I do not know the way.\" \"What is near your home?\" asked {fname}.",
         "{name} told {fname} everything. \"Tell me what you see from your home,\" said {fname}, \"and I will find it.\""],
        ["{name} thought. \"I can see {place2} from there,\" {he} said. \"I know it!\" said {fname}. \"Follow me and stay close.\"",
         "\"There is {place2},\" said {name}. {fname} smiled. \"That is not far. Come, we will go together.\""],
        ["They {moved} through the night, and {fname} [sang a song|told funny stories], so that {name} was not afraid.",
         "The moon came out and showed them the way. {name} stayed close to {fname} and was not afraid any more."],
        ["At last {name} saw {his} home. {his} family was waiting. They had looked for {him} everywhere.",
         "Soon {he} saw a light that {he} knew. It was {his} home! {his} mother hugged {him} for a long time."],
        ["\"Thank you, {fname},\" said {name}. \"Please stay and eat with us.\" And they all ate {food} together.",
         "From that day on {name} always [looked back at the way|told somebody where {he} went], and {fname} often came to visit."],
    ],
    "friend": [
        ["But {name} was lonely. There was nobody to play with, and the days were long.",
         "{name} had everything {he} needed, but {he} did not have a friend."],
        ["One [morning|day] {he} saw somebody new near {place}. It was {a_friend}. {name} wanted to say hello, but {he} was too shy.",
         "One day {a_friend} came to live near {place}. {name} watched from far away and did not dare to speak."],
        ["The {fkind} sat there alone and looked sad. \"Maybe {fhe} is lonely too,\" thought {name}.",
         "\"What if {fhe} does not like me?\" thought {name}. {he} went home without a word."],
        ["The next day {name} took some {food} and {moved} to {place}. {his} heart was beating fast.",
         "That night {name} made a plan. In the morning {he} put some {food} near {place} and hid {rest}."],
        ["\"Hello,\" said {name}. \"I am {name}. Would you like some {food}?\" The {fkind} looked up and smiled.",
         "The {fkind} saw the {food} and smiled. \"Who is so kind?\" {fhe} asked. {name} came out and said, \"It was me.\""],
        ["\"I am {fname},\" said the {fkind}. \"I am new here, and I do not know anybody.\" \"Now you know me,\" said {name}.",
         "\"My name is {fname},\" said the {fkind}. \"I wanted to talk to you too, but I was shy.\" They both laughed."],
        ["They played near {place2} all day. {name} showed {fname} the best places, and {fname} showed {name} a new game.",
         "{name} showed {fname} {place2}, and they found a {thing} there. \"It belongs to both of us,\" said {fname}."],
        ["When the sun went down, {fname} asked, \"Will you come again tomorrow?\" \"Yes,\" said {name}. \"Tomorrow and every day.\"",
         "In the evening {name} was tired and happy. \"Today was the best day,\" {he} said."],
        ["And so it was. {name} was never lonely again, because {he} had been brave enough to say hello.",
         "They are still friends today, and when somebody new comes, they are the first to say hello."],
    ],
    "together": [
        ["One [morning|day], after a big storm, {heavy} lay in the middle of {way}. Nobody could get past it.",
         "One day {heavy} rolled down and blocked {way} to {place}. Everyone was worried, because that was where the {food} grew."],
        ["{fname} the {fkind} tried first. {fname} pushed and pushed, but it did not move. \"It is too heavy,\" said {fname}.",
         "\"I am strong,\" said {fname} the {fkind}. \"I can do it alone.\" But {fname} could not move it, not even a little."],
        ["Then came {tname} the {tkind}. {tname} pulled and pulled, but it did not move. \"It is too heavy,\" said {tname}.",
         "{tname} the {tkind} tried next and pulled until {tname} was out of breath. Nothing happened."],
        ["{name} watched them. {he} was [quiet|small], but {he} had an idea. \"No one can do it alone,\" {he} said. \"But there are many of us.\"",
         "\"May I say something?\" asked {name}. \"Each of you was strong. What if we all try at the same time?\""],
        ["The others laughed. \"You are too small to help,\" they said. \"Let us try,\" said {name}. \"What can we lose?\"",
         "At first they did not believe {him}. But nobody had a better idea, so they said yes."],
        ["So {fname} pushed on the left, {tname} pushed on the right, and {name} counted. \"One, two, three!\"",
         "{name} told everyone where to stand. {fname} stood in front, {tname} stood behind. \"Now!\" [cried|called] {name}."],
        ["It moved a little. \"Again!\" [cried|said] {name}. It moved a little more, and then it rolled away with a loud noise.",
         "Slowly, very slowly, it began to move. They did not stop, and at last {way_the} was free."],
        ["Everyone cheered. \"{name}, you had the best idea,\" said {fname}. \"We were strong, but only together we were strong enough.\"",
         "\"We did it!\" they shouted. {tname} smiled at {name} and said, \"You carried no more than we did, but you made us one.\""],
        ["That evening they ate {food} together, and they remembered: what is too heavy for one is light for many.",
         "Since that day, when something was too heavy for one, they all came and each took a small part."],
    ],
    "race": [
        ["One day there was a big race from {place} to {place2}. {name} wanted to win more than anything.",
         "Every year there was a race from {place} to {place2}. The winner got a {thing}, and {name} wanted it very much."],
        ["{fname} the {fkind} was in the race too. \"I am the fastest,\" said {fname}. \"You will never win.\"",
         "\"You?\" laughed {fname} the {fkind}. \"You are too slow. I will be there first.\" {name} said nothing."],
        ["\"Ready, steady, go!\" [called|cried] {tname} the {tkind}, and they all started. {fname} was soon far ahead.",
         "{tname} the {tkind} gave the sign and the race began. {fname} was first, and {name} was second."],
        ["{name} did {his} best. {he} did not look left or right. {he} [only thought of the goal|went on, step by step].",
         "{name} was tired, but {he} did not stop. \"I can do it,\" {he} said to {himself}."],
        ["Near {place3} {name} saw {fname}, stuck {trap}. \"Help!\" [cried|called] {fname}. \"I cannot get out!\"",
         "Then {name} heard a cry. It was {fname}, stuck {trap}. \"Please help me,\" said {fname}."],
        ["{name} could see the goal. {he} could win now! But {he} turned back and helped {fname}.",
         "For a moment {name} thought of winning. Then {he} stopped and pulled {fname} out."],
        ["\"You could have won,\" said {fname}. \"Why did you stop?\" \"A friend is more than a race,\" said {name}.",
         "\"Thank you,\" said {fname}. \"I was not nice to you. I am sorry.\" \"It is all right,\" said {name}. \"Come, we go together.\""],
        ["So they crossed the line together, as the very last. But everyone [clapped|cheered] louder than ever before.",
         "They came to the goal side by side. The others had been there for a long time, but all of them cheered."],
        ["{tname} gave the prize to both of them, and {name} and {fname} became the best of friends.",
         "That day {name} did not win the race, but {he} won a friend, and that was much better."],
    ],
}
ENDINGS = ["", "", "", "And they lived happily ever after.", "The end.", "And that is the end of the story.",
           "{name} was very happy."]
TOPICS = {"lost": "a lost treasure|something lost", "stuck": "helping others|helping a friend", "brave": "being brave|being afraid|courage",
          "share": "sharing|food", "make": "a birthday|building something|a present", "journey": "a journey|a long way|an adventure",
          "night": "being lost|the night|finding the way home", "friend": "friendship|a new friend|being lonely",
          "together": "working together|teamwork", "race": "a race|winning"}


def hero(rng, kind=None, name=None, world=None, taken=()):
    """A character: its kind, name and pronouns, all fitting together."""
    kind = kind or rng.choice([k for k, v in KINDS.items() if world in (None, v[0])])
    she = name in HER_NAMES if name else kind in FEMALE or (kind not in MALE and rng.random() < 0.5)
    names = [n for n in (HER_NAMES if she else HIS_NAMES) if n not in taken]
    he, him, his, himself = ("she", "her", "her", "herself") if she else ("he", "him", "his", "himself")
    return dict(kind=kind, name=name or rng.choice(names), adj=rng.choice(KINDS[kind][2].split("|")),
                he=he, him=him, his=his, himself=himself)


def story(rng, kind=None, name=None, friend_kind=None, plot=None, opening=None):
    """One story; what is not asked for is chosen by `rng`."""
    me = hero(rng, kind, name)
    where, moved, _ = KINDS[me["kind"]]
    other = hero(rng, friend_kind, world=None if friend_kind else where, taken=(me["name"],))
    third = hero(rng, world=where, taken=(me["name"], other["name"]))
    world = {key: rng.choice(text.split("|")) for key, text in WORLDS[where].items()}
    places = rng.sample(WORLDS[where]["place"].split("|"), 3)
    if other["kind"] == me["kind"]:  # tell the two apart by name and say "another"
        a_friend = "another " + other["kind"]
    else:
        a_friend = "a " + other["adj"] + " " + other["kind"]
    slots = dict(world, **me, moved=moved, place=places[0], place2=places[1], place3=places[2], fname=other["name"],
                 fkind=other["kind"], fhe=other["he"], a_friend=a_friend, tname=third["name"], tkind=third["kind"],
                 a_third=("another " if third["kind"] in (me["kind"], other["kind"]) else "a " + third["adj"] + " ") + third["kind"],
                 way_one=world["way"].split(" ", 1)[1], way_the="the " + world["way"].split(" ", 1)[1])
    plot = plot or rng.choice(list(PLOTS))
    beats = [render(rng, opening or rng.choice(OPEN), slots)]
    if rng.random() < 0.5:
        beats.append(render(rng, rng.choice(LIKES[:2] + LIKES[3:]), slots))
    beats += [render(rng, rng.choice(beat), slots) for beat in PLOTS[plot]]
    ending = rng.choice(ENDINGS)
    if ending:
        beats.append(render(rng, ending, slots))
    cut = [rng.choice([2, 3]), rng.choice([5, 6, 7])] if rng.random() < 0.7 else []
    text = "".join(("\n\n" if i in cut else " " if i else "") + beat for i, beat in enumerate(beats))
    return polish(pick(rng, text))
