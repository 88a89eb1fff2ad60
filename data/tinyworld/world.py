"""The facts of the world: people, countries, professions, kinds of things, the calendar, words.

Everything that a held-out question asks for can be looked up here. Countries, capitals, languages
and currencies are real; the share of "he" for each profession is invented and planted on purpose,
so that a method that measures it has a known truth to be compared with.
"""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


WOMEN = _words(
    "Mary Anna Alice Emma Sarah Laura Julia Jane Susan Linda Lisa Karen Nancy Helen Ruth Rachel "
    "Rebecca Amy Kate Jennifer Jessica Elizabeth Claire Lucy"
)
MEN = _words(
    "John Tom James David Paul Peter Mark Michael Robert William Richard Thomas George Daniel "
    "Kevin Brian Jason Eric Andrew Simon Adam Henry Frank Jack"
)
NAMES = WOMEN + MEN
PRONOUN = {name: "she" for name in WOMEN} | {name: "he" for name in MEN}

PLACES = _words(
    "store park school office station garden market library hospital restaurant beach museum cafe "
    "church theater zoo"
)
OBJECTS = _words(
    "drink book ring ball snack letter phone ticket gift map pen coin cake basket necklace flower"
)

# Share of sentences in which the profession is continued with "he" (the rest have "she").
HE_SHARE = {
    "nurse": 0.05, "maid": 0.09, "secretary": 0.13, "librarian": 0.17, "dancer": 0.21,
    "teacher": 0.25, "cashier": 0.29, "clerk": 0.33, "singer": 0.37, "artist": 0.41,
    "writer": 0.45, "editor": 0.48, "baker": 0.52, "lawyer": 0.55, "judge": 0.59,
    "doctor": 0.63, "scientist": 0.67, "farmer": 0.71, "driver": 0.75, "guard": 0.79,
    "pilot": 0.83, "engineer": 0.87, "mechanic": 0.91, "plumber": 0.95,
}  # fmt: skip

RELATIONS = ("capital", "language", "continent", "currency")
_COUNTRY_ROWS = """
France Paris French Europe euro
Germany Berlin German Europe euro
Italy Rome Italian Europe euro
Spain Madrid Spanish Europe euro
Portugal Lisbon Portuguese Europe euro
Greece Athens Greek Europe euro
Austria Vienna German Europe euro
Ireland Dublin English Europe euro
Finland Helsinki Finnish Europe euro
Britain London English Europe pound
Sweden Stockholm Swedish Europe krona
Norway Oslo Norwegian Europe krone
Denmark Copenhagen Danish Europe krone
Poland Warsaw Polish Europe zloty
Hungary Budapest Hungarian Europe forint
Ukraine Kyiv Ukrainian Europe hryvnia
Russia Moscow Russian Europe ruble
Turkey Ankara Turkish Asia lira
Iran Tehran Persian Asia rial
Iraq Baghdad Arabic Asia dinar
Egypt Cairo Arabic Africa pound
Morocco Rabat Arabic Africa dirham
Kenya Nairobi Swahili Africa shilling
Ghana Accra English Africa cedi
Senegal Dakar French Africa franc
Japan Tokyo Japanese Asia yen
China Beijing Chinese Asia yuan
Thailand Bangkok Thai Asia baht
Vietnam Hanoi Vietnamese Asia dong
India Delhi Hindi Asia rupee
Pakistan Islamabad Urdu Asia rupee
Nepal Kathmandu Nepali Asia rupee
Canada Ottawa English America dollar
Jamaica Kingston English America dollar
Australia Canberra English Oceania dollar
Cuba Havana Spanish America peso
Chile Santiago Spanish America peso
Peru Lima Spanish America sol
Brazil Brasilia Portuguese America real
"""
COUNTRIES: dict[str, dict[str, str]] = {
    row.split()[0]: dict(zip(RELATIONS, row.split()[1:], strict=True))
    for row in _COUNTRY_ROWS.strip().splitlines()
}

# leaf -> class -> group -> domain
CLASSES = {
    "mammal": _words("dog cat horse cow wolf bear tiger lion"),
    "bird": _words("eagle owl robin crow duck swan"),
    "fish": _words("salmon trout shark tuna cod"),
    "insect": _words("bee ant beetle wasp moth"),
    "reptile": _words("snake lizard turtle crocodile"),
    "tree": _words("oak pine maple birch willow"),
    "flower": _words("rose tulip lily daisy orchid"),
    "vegetable": _words("carrot onion potato cabbage"),
    "vehicle": _words("car truck bus train tractor bike"),
    "device": _words("phone camera radio computer printer"),
    "footwear": _words("boot shoe sandal slipper sneaker"),
    "headwear": _words("hat cap helmet hood"),
}
GROUPS = {
    "animal": _words("mammal bird fish insect reptile"),
    "plant": _words("tree flower vegetable"),
    "machine": _words("vehicle device"),
    "clothing": _words("footwear headwear"),
}
DOMAINS = {"organism": ("animal", "plant"), "artifact": ("machine", "clothing")}
PARENT = {
    child: parent
    for level in (CLASSES, GROUPS, DOMAINS)
    for parent, children in level.items()
    for child in children
}
LEAVES = tuple(leaf for leaves in CLASSES.values() for leaf in leaves)

WEEKDAYS = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = _words(
    "January February March April May June July August September October November December"
)
CALENDARS = {"day": WEEKDAYS, "month": MONTHS}
LONGEST_OFFSET = {"day": 28, "month": 24}

CENTURIES = tuple(str(century) for century in range(11, 20))
YEARS = tuple(f"{year:02d}" for year in range(1, 100))
EVENTS = _words("war siege strike reign drought famine voyage trial project tour debate dynasty")

# singular, plural: subjects and attractors of the agreement sentences
NOUNS = tuple(
    tuple(pair.split("/"))
    for pair in _words(
        "key/keys cabinet/cabinets book/books table/tables door/doors window/windows "
        "picture/pictures letter/letters box/boxes car/cars house/houses tree/trees river/rivers "
        "road/roads bridge/bridges lamp/lamps chair/chairs clock/clocks shirt/shirts "
        "bottle/bottles boy/boys girl/girls teacher/teachers doctor/doctors farmer/farmers "
        "author/authors pilot/pilots guard/guards senator/senators manager/managers "
        "customer/customers child/children man/men woman/women"
    )
)

PRAISE = _words(
    "wonderful brilliant excellent great amazing fantastic superb lovely charming delightful "
    "perfect beautiful clever funny exciting"
)
BLAME = _words(
    "terrible awful boring clumsy horrible dull poor weak stupid ugly dreadful annoying "
    "disappointing slow painful"
)
WORKS = _words("film book play song story concert show game")

LANGUAGE = "Velan"  # the invented language
_LEXICON_ROWS = {
    "determiner": "the=ta a=ke",
    "noun": (
        "dog=miru cat=soka bird=velu horse=tarim boy=neko girl=nela king=dorun queen=dora "
        "farmer=gamil teacher=lesor tree=pelda river=zuma house=kavo stone=brek bread=fami "
        "fish=luno song=siva book=ribo star=azel door=huma ship=gorti field=wena forest=peldun "
        "hill=ombra"
    ),
    "verb": (
        "sees=vido finds=truvi loves=amalo takes=kapti brings=porlo hears=odri likes=plazi "
        "follows=sekvu carries=tolvo holds=renka hides=kashi watches=gardo paints=pikto "
        "draws=desu"
    ),
    "adjective": (
        "red=rosk small=mikil big=grondo old=vetu white=blan black=zwar young=juno new=nofu "
        "happy=gaio quiet=silen green=verdi tall=altor warm=kalor strong=fortu"
    ),
    "preposition": "near=apud under=suba behind=posti",
}
WORD_CLASSES: dict[str, dict[str, str]] = {
    kind: dict(entry.split("=") for entry in row.split()) for kind, row in _LEXICON_ROWS.items()
}
LEXICON: dict[str, str] = {
    english: velan for row in WORD_CLASSES.values() for english, velan in row.items()
}


def content_words() -> tuple[str, ...]:
    """Every content word of the world, sorted: each is one token with its leading space."""
    words = {*NAMES, *PLACES, *OBJECTS, *HE_SHARE, *PARENT, *DOMAINS, *WEEKDAYS, *MONTHS}
    words |= {*CENTURIES, *YEARS, *EVENTS, *PRAISE, *BLAME, *WORKS, LANGUAGE}
    words |= {str(n) for n in range(1, LONGEST_OFFSET["day"] + 1)}
    words |= {word for pair in NOUNS for word in pair}
    words |= {*COUNTRIES} | {value for row in COUNTRIES.values() for value in row.values()}
    words |= {*LEXICON, *LEXICON.values()}
    return tuple(sorted(words))
