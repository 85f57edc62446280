// The grammar of builtin:stories. A rule's alternatives are separated by | ; the number before a colon is a weight
// (else 1).
//
//   <word>      an expansion of that rule             <NAME:word>   the same, remembered as NAME
//   <NAME>      what NAME remembers                   <NAME=text>   remembers the text, writes nothing
//   <^...>      the same with a capital letter
#pragma once
#include <array>

struct GrammarRule {
    const char *name, *alternatives;
};

// clang-format off
constexpr auto story_rules = std::to_array<GrammarRule>({
    {"story",   "<opening> <event> <state> <ending>|<opening> <state> <event> <ending>"},

    // Who and what: everything the rest of a story refers to.
    {"opening", "<who> and <friend> <got> <toy>.|<who> and <friends> <got> <toy>."},
    {"who",     "<HERO:girl><HE=she><HIS=her>|<HERO:boy><HE=he><HIS=his>"},
    {"friend",  "<a-shy> <PET:animal><COUNT=><IT=it><THEM=it><WAS=was>"},
    {"friends", "<COUNT:number><shy> <PET:animals><IT=they><THEM=them><WAS=were>"},
    {"animals", "<animal>s"},
    {"a-shy",   "24:a <shy>|8:an <odd>"},
    {"toy",     "12:a <COLOUR:red> <THING:kite>|2:an <COLOUR:amber> <THING:kite>"},

    // What happens, and how they are.
    {"event",   "4:<^IT> <ran> <where>.|2:<^HE> <hid> it <where>.|2:<HERO> <hid> it <where>.|The <THING> fell <where>."},
    {"where",   "<by> <a> <mill>"},
    {"a",       "the|a|this|that|<HIS>"},
    {"state",   "2:<^IT> <WAS> <so> <glad>.|<^HE> was <so> <glad>.|2:<HERO> was <so> <glad>.|2:<^HE> gave <THEM> <food>.|<^IT> ate <HIS> <food>."},

    // How it ends: with the name, the count and the colour of the opening.
    {"ending",  "3:<HERO> <kept> the <COLOUR> <THING>.|2:The <COUNT><PET> <ran> <home>.|"
                "2:\"<oh>, <HERO>!\" <said> the <PET>.|2:<HERO> and the <PET> <ran>."},

    {"girl",    "Ada|Cleo|Eva|Gwen|Kate|Mia|Olga|Rosa|Vera|Zoe"},
    {"boy",     "Ben|Dan|Finn|Jack|Leo|Ned|Paul|Umar|Walt|Yuri"},
    {"number",  "two |three |four |five |six "},
    {"animal",  "cat|dog|hen|frog|bear|duck|goat|owl|bee|ant|pig|cow|crab|mole|swan|toad|lamb|seal|bat|snail|bird|bug|crow|lion|"
                "moth|newt|rat|wasp|dove|elk"},
    {"shy",     "shy|sad|big|tiny|lazy|brave|calm|proud|kind|loud|funny|sly|tame|wild|young|quick|bold|fat|gray|mad|nice|rich|"
                "small|tall"},
    {"odd",     "odd|old|ugly|eager|angry|able|easy|icy"},
    {"got",     "had|found|made|saw|lost|took|drew|won|built|sold|got|stole|hid|kept|wore|fixed|broke|liked|moved|held"},
    {"red",     "red|blue|pink|gray|green|gold|white|black|brown|tan|new|tin"},
    {"amber",   "amber|odd"},
    {"kite",    "kite|hat|drum|boat|lamp|cup|ball|bell|scarf|coat|book|flute|ring|shoe|rope|fan|flag|key|map|mug|pen|box|sled|harp|"
                "bag|bed|bow|cart|chair|doll|fork|jar|nest|plate|raft|sock|spoon|stick|toy|vase"},
    {"ran",     "ran|hid|sat|sang|slept|swam|cried|stood|fell|ate|hummed|read|flew|crept|wept|dozed|dug|knelt|spun|shook|sank|slid|"
                "ached|stayed|waved|napped|smiled|spoke|won|woke"},
    {"home",    "home|away|again|too|a lot|there|well|twice|alone|first|now|once|late|soon|apart|aside|far|next|fast"},
    {"hid",     "hid|put|threw|lost|flew|left|kept|broke|fixed|held|sold|found|saw|sent|tied|took|used|wore|burnt|cut"},
    {"by",      "by|in|near|at|past|off|on|over"},
    {"mill",    "mill|lake|road|gate|pond|hill|sea|well|shed|fort|barn|wall|mine|tent|cave|fire|park|bank|bush|camp|farm|field|"
                "hut|log|path|port|roof|shop|tree|tub|yard"},
    {"food",    "milk|cake|jam|soup|rice|corn|bread|honey|pie|nuts|plums|figs|tea|pears|salt|beans|fish|ham|kale|oats|peas|rolls|"
                "seeds|stew"},
    {"so",      "so|very|too|not|just|all|half|soon|only|once"},
    {"glad",    "glad|sad|cold|warm|happy|tired|calm|safe|merry|cross|shy|wet|late|lost|ill|bored|busy|dizzy|fine|hurt|lucky|silly|"
                "sorry|weak"},
    {"kept",    "kept|sold|loved|fixed|hid|found|wore|broke|lost|made|gave|stole|took|threw|tore|used|sent|saw|held|liked"},
    {"oh",      "Ah|Bravo|Bye|Come|Dear|Go|Hello|Help|Hey|Look|No|Oh|Quick|Run|Sorry|Stop|Wait|Well|Wow|Yes"},
    {"said",    "asked|cried|purred|said|sang|yelled|wept"},
});
// clang-format on
