"""Who and what the stories are about: heroes by kind, and the worlds they live in."""

# kind: (world, how it moves, adjectives)
KINDS = {
    "dog": ("land", "ran", "little|brown|playful|old"), "cat": ("land", "ran", "little|black|curious|grey"),
    "rabbit": ("land", "hopped", "little|white|shy|fast"), "bear": ("land", "walked", "big|brown|gentle|sleepy"),
    "fox": ("land", "ran", "little|red|clever|young"), "mouse": ("land", "ran", "tiny|grey|brave|small"),
    "frog": ("land", "hopped", "little|green|funny|small"), "squirrel": ("land", "ran", "little|red|busy|quick"),
    "hedgehog": ("land", "walked", "little|shy|round|small"), "horse": ("land", "ran", "young|white|strong|brown"),
    "cow": ("land", "walked", "big|kind|spotted|calm"), "pig": ("land", "ran", "little|pink|happy|round"),
    "sheep": ("land", "walked", "little|white|woolly|gentle"), "goat": ("land", "ran", "little|grey|stubborn|young"),
    "elephant": ("land", "walked", "big|grey|gentle|young"), "lion": ("land", "walked", "big|proud|young|yellow"),
    "tiger": ("land", "ran", "young|striped|strong|brave"), "monkey": ("land", "ran", "little|funny|quick|clever"),
    "snail": ("land", "crept", "tiny|slow|patient|small"), "turtle": ("land", "walked", "old|slow|wise|green"),
    "bird": ("air", "flew", "little|blue|yellow|small"), "owl": ("air", "flew", "old|wise|white|young"),
    "duck": ("air", "flew", "little|yellow|white|young"), "crow": ("air", "flew", "black|clever|old|curious"),
    "bee": ("air", "flew", "tiny|busy|little|golden"), "butterfly": ("air", "flew", "little|blue|pretty|yellow"),
    "dragon": ("air", "flew", "little|green|friendly|young"), "hen": ("land", "ran", "red|brown|busy|kind"),
    "fish": ("sea", "swam", "little|silver|orange|small"), "whale": ("sea", "swam", "big|blue|gentle|old"),
    "crab": ("sea", "crept", "little|red|shy|small"), "dolphin": ("sea", "swam", "young|grey|happy|playful"),
    "octopus": ("sea", "swam", "clever|purple|shy|young"), "seahorse": ("sea", "swam", "tiny|yellow|little|shy"),
    "boy": ("town", "ran", "little|young|quiet|cheerful"), "girl": ("town", "ran", "little|young|brave|cheerful"),
    "robot": ("town", "walked", "little|old|small|friendly"), "farmer": ("town", "walked", "old|kind|busy|poor"),
    "baker": ("town", "walked", "kind|old|busy|cheerful"), "sailor": ("town", "walked", "old|young|brave|cheerful"),
    "princess": ("town", "ran", "young|kind|clever|brave"), "prince": ("town", "ran", "young|kind|shy|brave"),
    "king": ("town", "walked", "old|kind|wise|sad"), "queen": ("town", "walked", "wise|kind|old|clever"),
    "wizard": ("town", "walked", "old|wise|funny|forgetful"), "witch": ("town", "walked", "young|kind|funny|good"),
    "giant": ("town", "walked", "big|gentle|kind|lonely"), "knight": ("town", "walked", "young|brave|tall|shy"),
}
FEMALE = {"girl", "princess", "queen", "witch", "cow", "hen"}
MALE = {"boy", "prince", "king", "wizard"}
HER_NAMES = ("Anna Bella Clara Daisy Emma Fiona Grace Hazel Ida Julia Kate Lily Lucy Maya Mia Nina Nora Olive Penny "
             "Rosa Ruby Sara Sophie Tilly Wanda Zoe").split()
HIS_NAMES = ("Adam Ben Charlie Dan Felix Finn George Hugo Ivan Jack Jim Leo Max Milo Nico Oliver Oscar Otto Paul "
             "Pip Sam Simon Theo Tim Toby Tom").split()

WORLDS = {
    "land": {
        "home": "in a green forest|near a quiet river|at the edge of a wide meadow|on a small farm|under an old oak tree"
                "|at the foot of a tall hill|beside a little pond",
        "place": "the forest|the meadow|the river|the pond|the old oak tree|the hill|the apple garden|the stone wall",
        "spot": "under a big leaf|behind a grey stone|in the tall grass|between two roots|inside a hollow log"
                "|under a bush|next to a pile of leaves",
        "thing": "red ball|shiny stone|blue ribbon|warm scarf|little bell|yellow feather|wooden whistle|golden key",
        "food": "red berries|sweet apples|brown nuts|yellow pears|fresh carrots|ripe plums",
        "trap": "in the deep mud|in a thorn bush|in a hole in the ground|under a fallen branch|in an old net",
        "rest": "under a tree|behind a big stone|in the tall grass|under a bush",
        "far": "the sea|the top of the blue mountain|the big waterfall|the field of sunflowers|the lake of swans",
        "block": "a wide river|a deep ditch|a high fence|a broken bridge", "way": "a path|a trail",
        "heavy": "a big stone|a fallen tree|a huge log", "fear": "the dark|thunder|deep water|high places|loud noises",
        "make": "a small house of sticks|a raft|a kite|a swing|a warm nest|a flower crown",
        "bad": "a strong wind blew it apart|the rain washed it away|it fell over with a crash",
    },
    "sea": {
        "home": "in the blue sea|in a warm reef|near a quiet beach, deep under the waves|in a garden of coral"
                "|beside an old ship at the bottom of the sea",
        "place": "the coral garden|the old ship|the dark cave|the sandy bay|the green seaweed|the big rock|the reef",
        "spot": "under a white shell|behind a rock|in the soft sand|between two corals|inside an old pot"
                "|under the seaweed",
        "thing": "white pearl|shiny shell|golden coin|blue stone|little bell|silver ring",
        "food": "green seaweed|sweet sea grass|tasty sea plums|soft sea moss",
        "trap": "in an old net|in a narrow crack|between two rocks|inside a bottle|under a heavy chain",
        "rest": "behind a rock|in a small cave|under the seaweed|in the soft sand",
        "far": "the warm island|the bright lagoon|the cave of pearls|the sunken city|the northern sea",
        "block": "a strong current|a dark tunnel|a wall of sharp rocks", "way": "a path|a trail",
        "heavy": "a big rock|an old anchor|a huge chest",
        "fear": "the dark|deep water|big waves|loud noises|the cold north",
        "make": "a house of shells|a garden of sea flowers|a crown of pearls|a soft bed of sea grass",
        "bad": "a strong wave broke it apart|the current carried it away|it fell over with a thump",
    },
    "town": {
        "home": "in a small village|in a little town by the sea|in a house with a red door|in a stone tower"
                "|at the end of a long street|in a town with many bridges",
        "place": "the market|the mill|the old bridge|the garden|the harbor|the school|the square|the park",
        "spot": "under a bench|behind a barrel|in a flower pot|between two sacks|inside an old boot|under the stairs"
                "|next to the well",
        "thing": "red hat|silver coin|blue kite|little book|wooden horse|music box|golden key|warm coat",
        "food": "fresh bread|sweet apples|warm cakes|honey cookies|ripe cherries|vegetable soup",
        "trap": "in a deep well|in the deep snow|in a narrow window|under a fallen shelf|in the mud",
        "rest": "under a tree|in an old barn|behind a wall|under a bridge",
        "far": "the sea|the castle on the hill|the big city|the snowy mountain|the island of birds",
        "block": "a wide river|a locked gate|a broken bridge|a deep valley", "way": "a road|a path",
        "heavy": "a big stone|a fallen tree|a broken cart",
        "fear": "the dark|thunder|deep water|high places|big crowds|speaking to others",
        "make": "a little boat|a kite|a big cake|a wooden bench|a tree house|a paper lantern",
        "bad": "a strong wind knocked it over|the rain ruined it|it broke in two",
    },
}
WORLDS["air"] = dict(WORLDS["land"], home="in a tall tree|in a nest above the river|on the roof of an old barn|in a quiet forest"
                     "|near a field of flowers", fear="the dark|thunder|strong wind|loud noises|the cold winter")
