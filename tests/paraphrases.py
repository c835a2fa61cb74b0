"""Pairs in the manner of image captions, written for these tests, and the same pairs in other words."""

PAIRS = [
    # premise, hypothesis; the premise in other words, the hypothesis in other words
    (
        "A plumber in grey overalls is lying on his back under a kitchen sink.",
        "A man is repairing a pipe.",
        "On his back beneath the sink of a kitchen lies a plumber wearing grey overalls.",
        "A pipe is being fixed by a man.",
    ),
    (
        "Two children share an umbrella while they wait for the school bus in heavy rain.",
        "The children are dry.",
        "In pouring rain, two kids are waiting for the school bus under one umbrella.",
        "The kids are not wet.",
    ),
    (
        "An elderly woman feeds pigeons from a bench in front of a cathedral.",
        "A woman is sitting outside.",
        "Sitting on a bench before a cathedral, an old lady gives food to the pigeons.",
        "A lady sits outdoors.",
    ),
    (
        "The chef slides a pizza into a brick oven with a long wooden paddle.",
        "The chef is making soup.",
        "With a long paddle made of wood, a cook pushes a pizza into an oven of bricks.",
        "The cook is preparing soup.",
    ),
    (
        "A cyclist with a yellow helmet repairs a flat tyre at the side of a mountain road.",
        "The cyclist will win the race.",
        "At the edge of a road in the mountains, a bike rider in a yellow helmet is fixing a flat tyre.",
        "The bike rider is going to win the race.",
    ),
    (
        "Three musicians play violins on a small boat that is decorated with flowers.",
        "People are making music on the water.",
        "On a little boat decked with flowers, three people are playing the violin.",
        "Music is being played on the water.",
    ),
    (
        "A goat stands on the roof of a parked car and looks into the distance.",
        "An animal is on top of a vehicle.",
        "A goat is looking far away from the top of a car that is parked.",
        "On a vehicle stands an animal.",
    ),
    (
        "A nurse pushes an empty wheelchair down a long, brightly lit corridor.",
        "The nurse is asleep.",
        "Down a long corridor full of light, an empty wheelchair is pushed by a nurse.",
        "The nurse is sleeping.",
    ),
    (
        "Four students in lab coats watch as a green liquid boils in a glass flask.",
        "The students are in a chemistry class.",
        "A green fluid is boiling in a flask of glass while four students wearing lab coats look on.",
        "It is a chemistry lesson.",
    ),
    (
        "A fisherman mends a torn net on the pier as gulls circle above him.",
        "A man is working near the sea.",
        "While seagulls fly in circles overhead, a fisherman on a pier repairs his ripped net.",
        "A man works close to the sea.",
    ),
    (
        "A toddler in a striped sweater chases soap bubbles across the lawn.",
        "The child is inside a house.",
        "A small child wearing a striped jumper runs after soap bubbles on the grass.",
        "The child is indoors.",
    ),
    (
        "Firefighters climb a ladder towards the smoking window of an apartment building.",
        "There is a fire in the building.",
        "Towards a window full of smoke in a block of flats, firemen are climbing up a ladder.",
        "The building is on fire.",
    ),
]
