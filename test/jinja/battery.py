"""
Writes battery.jsonl: one-line templates and what Jinja2 3.1.6 makes of them in the environment of transformers' apply_chat_template.

    pip install jinja2==3.1.6 && python3 battery.py

Line 1 holds the variables of all templates. Each other line is {"template", "want"}, or {"template", "error"} with the name of
Python's exception.
"""

import json
import os

from judge import environment

HERE = os.path.dirname(os.path.abspath(__file__))

CONTEXT = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello <b> & 'you' \"there\""},
        {"role": "assistant", "content": "<think>\nplan\n</think>\n\n    x = 1\n"},
        {"role": "user", "content": "Grüße, 世界 😀!"},
    ],
    "typed": [{"type": "text", "text": "one"}, {"type": "image"}, {"type": "text", "text": "two"}],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "The weather <now> & then",
                "parameters": {
                    "type": "object",
                    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 3}},
                    "required": ["city"],
                },
            },
        }
    ],
    "users": [
        {"name": "Bob", "age": 30, "tags": ["a", "b"], "on": True},
        {"name": "alice", "age": 25, "tags": [], "on": False},
        {"name": "Carol", "age": 30, "tags": ["c"], "on": True, "nick": None},
    ],
    "tree": [{"v": 1, "kids": [{"v": 2, "kids": []}, {"v": 3, "kids": [{"v": 4, "kids": []}]}]}],
    "numbers": [3, 1, 2],
    "words": ["banana", "Apple", "cherry", "apple"],
    "d": {"b": 1, "a": [1, 2.5, None, True], "C": {"x": "y"}},
    "text": "The quick brown fox",
    "lines": "one\ntwo\n\nthree",
    "blank": "  \t padded \n ",
    "uni": "Straße ÉCOLE ǆ ﬁ İ",
    "emoji": "a😀b",
    "html": "<a href=\"x\">1 & 2</a>",
    "empty_list": [],
    "empty_dict": {},
    "empty": "",
    "null": None,
    "yes": True,
    "no": False,
    "n": 7,
    "neg": -3,
    "big": 9007199254740991,
    "f": 2.5,
    "nested": [[1, [2, 3]], [4, [5]]],
    "items_key": {"items": "shadowed", "keys": 1},
    "weird": {"__proto__": "p", "constructor": "c", "__class__": "k", "toString": "t", "length": 3},
}

# What is printed.
PRINTING = r"""
{{ 1 }}|{{ -1 }}|{{ 0 }}|{{ 1_000 }}|{{ 0x1F }}|{{ 0b101 }}|{{ 0o17 }}
{{ 1.0 }}|{{ 1.5 }}|{{ 1e3 }}|{{ 1e16 }}|{{ 1e15 }}|{{ 1.5e-5 }}|{{ 0.0001 }}|{{ 1e22 }}|{{ 123456789.123 }}|{{ 1e300 }}
{{ true }}|{{ false }}|{{ none }}|{{ True }}|{{ False }}|{{ None }}
{{ [] }}|{{ {} }}|{{ () }}|{{ (1,) }}|{{ (1, 2) }}|{{ [1, 'a', None, true, 2.0] }}
{{ {'a': 1, 'b': [1, 2], 3: none} }}
{{ 'it''s' }}|{{ ["it's"] }}|{{ ['say "hi"'] }}|{{ ['both \' and "'] }}
{{ ['\n\t\\\r\x00\x7f\u00e9\u200b\U0001F600'] }}
{{ d }}
{{ messages }}
{{ tools }}
{{ null }}|{{ yes }}|{{ no }}|{{ n }}|{{ f }}|{{ neg }}|{{ big }}
{{ undefined_thing }}|{{ [undefined_thing] }}
{{ range(3) }}|{{ range(1, 10, 2) }}|{{ range(5)|list }}
{{ d.keys() }}|{{ d.values() }}|{{ d.items() }}
{{ 1, 2 }}
{{ 'a' 'b' "c" }}
{{ 1 if yes }}|{{ 1 if no }}|{{ 1 if no else 2 }}|{{ 'a' if no else 'b' if no else 'c' }}
{{ 2**10 }}|{{ 2**-1 }}|{{ 2**0.5 }}|{{ 2**64 }}|{{ -2**2 }}|{{ 2**3**2 }}
{{ 1e400 }}|{{ -1e400 }}|{{ 1e400 - 1e400 }}
{{ 7 / 2 }}|{{ 6 / 2 }}|{{ 7 // 2 }}|{{ -7 // 2 }}|{{ 7 % 3 }}|{{ -7 % 3 }}|{{ 7 % -3 }}|{{ 7.5 % 2 }}|{{ -7.5 % 2 }}|{{ 7.5 // 2 }}
{{ 1 + 1.0 }}|{{ 1 - 3 }}|{{ 2 * 2.5 }}|{{ true + 1 }}|{{ true * 3 }}|{{ +5 }}|{{ -n }}|{{ - - 5 }}
{{ 0.1 + 0.2 }}|{{ 1 / 3 }}|{{ 100 * 1.1 }}|{{ 1e16 + 1 }}
{{ 9007199254740993 }}|{{ 9007199254740993 + 1 }}|{{ 99999999999 * 99999999999 }}
{{ -0.0 }}|{{ 0.0 }}|{{ 5.0 // 0.3 }}
{{ 1 / 0 }}
{{ 1 // 0 }}
{{ 1 % 0 }}
{{ 1.0 / 0 }}
{{ 'a' + 1 }}
{{ 1 + 'a' }}
{{ [1] + (2,) }}
{{ none + 1 }}
{{ {} + {} }}
{{ [1, 2] + [3] }}|{{ (1,) + (2,) }}|{{ 'a' + 'b' }}
{{ 'ab' * 3 }}|{{ 3 * 'ab' }}|{{ 'ab' * 0 }}|{{ 'ab' * -1 }}|{{ [1] * 3 }}|{{ (1, 2) * 2 }}
{{ 1 ~ 'a' ~ 2.0 ~ none ~ true ~ [1] ~ undefined_thing }}
{{ 'a' ~ 1 + 2 }}
{{ 1 + 2 ~ 3 }}
{{ 2 * 3 ~ 4 * 5 }}
{{ (1 + 2) * 3 }}|{{ 1 + 2 * 3 }}|{{ 10 - 4 - 3 }}|{{ 100 / 10 / 2 }}
{{ 'x' if 1 else }}
{{ 1 +  }}
{{ namespace(a=1).a }}|{{ namespace({'b': 2}).b }}|{{ dict(a=1, b='x') }}|{{ dict([('a', 1)]) }}|{{ dict({'q': 1}, z=2) }}
"""

COMPARISONS = r"""
{{ 1 == 1.0 }}|{{ 1 == '1' }}|{{ true == 1 }}|{{ none == false }}|{{ [] == [] }}|{{ [1, [2]] == [1, [2]] }}|{{ (1,) == [1] }}
{{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }}|{{ {'a': 1} == {'a': 2} }}|{{ {'a': 1} != {'a': 1.0} }}
{{ 'a' < 'b' }}|{{ 'B' < 'a' }}|{{ '' < 'a' }}|{{ 'ab' < 'b' }}|{{ '😀' > '￿' }}
{{ 1 < 2 < 3 }}|{{ 1 < 3 < 2 }}|{{ 3 > 2 >= 2 }}|{{ 1 == 1 != 2 }}|{{ 1 < 2 > 0 }}
{{ [1, 2] < [1, 3] }}|{{ [1] < [1, 0] }}|{{ (1, 'a') < (1, 'b') }}
{{ 1 < 'a' }}
{{ none < 1 }}
{{ [1] < (2,) }}
{{ {} < {} }}
{{ 1 in [1, 2] }}|{{ '1' in [1] }}|{{ 1.0 in [1] }}|{{ 3 not in [1, 2] }}|{{ 'a' in 'cat' }}|{{ '' in '' }}|{{ 'b' in d }}|{{ 'z' in d }}|{{ 1 in d.values() }}
{{ 1 in 'abc' }}
{{ none in [none] }}|{{ [1] in [[1]] }}|{{ 'x' in undefined_thing }}|{{ 2 in range(3) }}|{{ 5 in range(3) }}
{{ 1 in 5 }}
{{ not true }}|{{ not 0 }}|{{ not '' }}|{{ not [] }}|{{ not none }}|{{ not undefined_thing }}|{{ not not 1 }}
{{ 1 and 2 }}|{{ 0 and 2 }}|{{ 0 or 'x' }}|{{ '' or none }}|{{ [] or {} or 0 or 'end' }}|{{ true and false or 3 }}
{{ not 1 == 2 }}|{{ not 'a' in 'b' }}|{{ not yes and no }}
{{ (yes and not no) or undefined_thing.foo }}
{{ 1 is defined and 2 }}|{{ undefined_thing is defined }}|{{ undefined_thing is undefined }}|{{ undefined_thing is not defined }}|{{ d.zzz is defined }}|{{ null is defined }}
{{ none is none }}|{{ 0 is none }}|{{ undefined_thing is none }}|{{ null is not none }}
{{ true is boolean }}|{{ 1 is boolean }}|{{ true is true }}|{{ 1 is true }}|{{ false is false }}|{{ 0 is false }}
{{ 1 is integer }}|{{ 1.0 is integer }}|{{ true is integer }}|{{ 1.0 is float }}|{{ 1 is float }}|{{ 1 is number }}|{{ true is number }}|{{ '1' is number }}|{{ 1.5 is number }}
{{ 'a' is string }}|{{ 1 is string }}|{{ [] is string }}|{{ none is string }}|{{ undefined_thing is string }}
{{ {} is mapping }}|{{ [] is mapping }}|{{ d is mapping }}|{{ 'a' is mapping }}
{{ [] is sequence }}|{{ 'a' is sequence }}|{{ {} is sequence }}|{{ 1 is sequence }}|{{ none is sequence }}|{{ (1,) is sequence }}|{{ undefined_thing is sequence }}|{{ range(2) is sequence }}|{{ d.items() is sequence }}
{{ [] is iterable }}|{{ 'a' is iterable }}|{{ {} is iterable }}|{{ 1 is iterable }}|{{ none is iterable }}|{{ undefined_thing is iterable }}|{{ ([1]|map('string')) is iterable }}
{{ 3 is odd }}|{{ 4 is odd }}|{{ 4 is even }}|{{ -3 is odd }}|{{ 9 is divisibleby 3 }}|{{ 9 is divisibleby(2) }}
{{ 'abc' is lower }}|{{ 'ABC' is upper }}|{{ 'aB' is lower }}|{{ '1' is lower }}|{{ '' is upper }}
{{ 1 is eq 1 }}|{{ 1 is equalto 2 }}|{{ 1 is sameas 1 }}|{{ none is sameas none }}|{{ true is sameas 1 }}|{{ 1 is ne 2 }}
{{ 2 is gt 1 }}|{{ 2 is greaterthan 3 }}|{{ 2 is lt 3 }}|{{ 2 is lessthan 2 }}|{{ 2 is ge 2 }}|{{ 2 is le 1 }}
{{ 1 is in [1] }}|{{ 'a' is in 'abc' }}|{{ 2 is not in [1] }}
{{ raise_exception is callable }}|{{ 'a'.upper is callable }}|{{ 1 is callable }}|{{ range is callable }}
{{ 'upper' is filter }}|{{ 'nope' is filter }}|{{ 'odd' is test }}|{{ 'nope' is test }}
{{ 1 is nope }}
{{ 1 is string is string }}
{{ 'a' is odd }}
{{ 'x' is escaped }}
{{ messages[0].role is string and messages[0].content is not none }}
{{ d.a is sequence and d.a is not mapping and d.a is not string }}
{{ undefined_thing == undefined_other }}|{{ undefined_thing == none }}|{{ undefined_thing != 1 }}
{{ undefined_thing < 1 }}
{{ undefined_thing + 'a' }}
{{ undefined_thing.foo }}
{{ undefined_thing['foo'] }}
{{ undefined_thing() }}
{{ undefined_thing|length }}|{{ undefined_thing|list }}|{{ undefined_thing|default('x') }}|{{ undefined_thing|upper }}|{{ undefined_thing|trim }}|{{ undefined_thing|join(',') }}
{{ undefined_thing|int }}
{{ undefined_thing|tojson }}
{{ -undefined_thing }}
{{ d.nope.deeper }}
{{ d.nope }}|{{ d['nope'] }}|{{ numbers[10] }}|{{ numbers[-10] }}|{{ numbers.nope }}|{{ n.nope }}|{{ text.nope }}|{{ null.nope }}|{{ null['x'] }}|{{ n[0] }}
{{ numbers['x'] }}|{{ d[0] }}|{{ text['x'] }}|{{ numbers[1.0] }}|{{ numbers[none] }}
{{ d[[1]] }}|{{ d[{}] }}
{{ {[1]: 2} }}
{{ {1: 'a', 1.0: 'b', true: 'c'} }}|{{ {none: 1}[none] }}|{{ {(1, 2): 'x'}[(1, 2)] }}|{{ {1: 'a'}[true] }}
{% for x in undefined_thing %}a{% else %}none{% endfor %}
{% for x in null %}a{% endfor %}
{% for x in 5 %}a{% endfor %}
{% if undefined_thing %}a{% else %}b{% endif %}
{% if undefined_thing.foo %}a{% endif %}
{% if undefined_thing is defined and undefined_thing.foo %}a{% else %}b{% endif %}
"""

SUBSCRIPTS = r"""
{{ numbers[0] }}|{{ numbers[-1] }}|{{ numbers[1:] }}|{{ numbers[:1] }}|{{ numbers[:-1] }}|{{ numbers[::-1] }}|{{ numbers[::2] }}|{{ numbers[:] }}
{{ text[0] }}|{{ text[-3:] }}|{{ text[4:9] }}|{{ text[::-1] }}|{{ text[100:] }}|{{ text[:-100] }}|{{ text[5:2] }}|{{ text[-1:0:-4] }}
{{ emoji[1] }}|{{ emoji[1:] }}|{{ emoji|length }}|{{ emoji[::-1] }}|{{ emoji.find('b') }}
{{ (1, 2, 3)[1:] }}|{{ range(10)[2:5] }}|{{ range(10)[-1] }}|{{ range(10)[::3]|list }}
{{ numbers[::0] }}
{{ numbers['a':] }}
{{ numbers[none:2] }}
{{ messages[0].role }}|{{ messages[0]['role'] }}|{{ messages[-1]['content'] }}|{{ (messages|last).content }}|{{ messages[1:][0].role }}
{{ nested[0][1][0] }}|{{ nested.0.1.1 }}|{{ nested[1:][0][1] }}
{{ d.C.x }}|{{ d['C']['x'] }}|{{ d.a[1] }}|{{ d['a'][-1] }}
{{ items_key.items }}
{{ items_key['items'] }}|{{ items_key['keys'] }}|{{ items_key.get('items') }}|{{ items_key.nothing }}
{{ weird['__proto__'] }}|{{ weird['constructor'] }}|{{ weird.constructor }}|{{ weird.toString }}|{{ weird.length }}|{{ weird|length }}|{{ weird['__class__'] }}
{{ {}.__class__ }}|{{ ''.__class__ }}|{{ [].__proto__ }}|{{ {}.constructor }}|{{ ''.constructor }}|{{ [].length }}|{{ numbers.length }}|{{ {}.toString }}|{{ (1).toFixed }}
{{ ''.__class__.__mro__ }}
{{ {}['__class__'].x }}
{{ constructor }}|{{ toString }}|{{ __proto__ }}|{{ globalThis }}|{{ process }}|{{ hasOwnProperty }}
{{ constructor.constructor }}
{{ [].constructor.constructor('x') }}
{{ ''.__init__() }}
{{ 'abc'[1]['x'] }}
{{ text.0 }}|{{ numbers.0 }}
{{ (numbers, text)[1][0] }}
"""

STRINGS = r"""
{{ 'aBC dEF'.upper() }}|{{ 'aBC'.lower() }}|{{ 'aBC dEF'.capitalize() }}|{{ "they're bill's".title() }}|{{ 'aBc'.swapcase() }}|{{ 'Straße'.casefold() }}
{{ uni.upper() }}|{{ uni.lower() }}|{{ uni.title() }}|{{ uni.capitalize() }}|{{ uni.casefold() }}
[{{ blank.strip() }}]|[{{ blank.lstrip() }}]|[{{ blank.rstrip() }}]|[{{ 'xxaxx'.strip('x') }}]|[{{ 'abcba'.lstrip('ab') }}]|[{{ 'abcba'.rstrip('ab') }}]|[{{ 'abc'.strip('') }}]|[{{ ' a '.strip(none) }}]
[{{ '\u00a0\u2003a\u3000\x1f\x85'.strip() }}]|[{{ '\ufeffa\ufeff'.strip() }}]|[{{ '\u200ba'.strip() }}]
{{ 'a,b,c'.split(',') }}|{{ 'a,b,c'.split(',', 1) }}|{{ 'a,b,c'.rsplit(',', 1) }}|{{ ' a  b '.split() }}|{{ ' a  b c'.split(none, 1) }}|{{ ' a  b c '.rsplit(none, 1) }}|{{ ''.split() }}|{{ ''.split(',') }}|{{ 'a<>b<>c'.split('<>') }}|{{ 'a,b,c'.split(',', maxsplit=1) }}|{{ 'a b c'.split(' ', -1) }}|{{ 'a,b'.split(sep=',') }}
{{ 'a'.split('') }}
{{ messages[2].content.split('</think>')[-1].lstrip('\n') }}
{{ messages[2].content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') }}
{{ 'aaa'.replace('a', 'b') }}|{{ 'aaa'.replace('a', 'b', 2) }}|{{ 'abc'.replace('', '-') }}|{{ 'abc'.replace('', '-', 2) }}|{{ 'abc'.replace('z', 'y') }}|{{ 'aaa'.replace('aa', 'b', -1) }}|{{ 'a$b'.replace('$', '$&') }}
{{ 'abc'.startswith('ab') }}|{{ 'abc'.startswith(('x', 'a')) }}|{{ 'abc'.startswith('b', 1) }}|{{ 'abc'.endswith('bc') }}|{{ 'abc'.endswith(('x', 'c')) }}|{{ 'abc'.endswith('b', 0, 2) }}|{{ ''.startswith('') }}
{{ 'abc'.startswith(['a']) }}
{{ 'abcabc'.find('c') }}|{{ 'abcabc'.find('c', 3) }}|{{ 'abc'.find('z') }}|{{ 'abcabc'.rfind('c') }}|{{ 'abcabc'.rfind('a', 0, 2) }}|{{ 'abc'.index('b') }}|{{ 'abca'.rindex('a') }}|{{ 'abc'.find('') }}
{{ 'abc'.index('z') }}
{{ 'banana'.count('a') }}|{{ 'banana'.count('an') }}|{{ 'banana'.count('a', 2) }}|{{ 'banana'.count('') }}|{{ 'aaaa'.count('aa') }}
{{ ','.join(['a', 'b']) }}|{{ ''.join([]) }}|{{ '-'.join('abc') }}|{{ ', '.join(d) }}
{{ ','.join([1]) }}
{{ 'abc'.removeprefix('a') }}|{{ 'abc'.removesuffix('c') }}|{{ 'abc'.removeprefix('x') }}|{{ 'abc'.removesuffix('') }}
{{ 'a-b-c'.partition('-') }}|{{ 'a-b-c'.rpartition('-') }}|{{ 'abc'.partition('-') }}|{{ 'abc'.rpartition('-') }}
[{{ 'a'.center(5) }}]|[{{ 'ab'.center(5, '*') }}]|[{{ 'a'.ljust(4) }}]|[{{ 'a'.rjust(4, '.') }}]|[{{ '42'.zfill(5) }}]|[{{ '-42'.zfill(5) }}]|[{{ 'abc'.center(2) }}]|[{{ 'abc'.center(6, '-') }}]
{{ 'a\nb\r\nc\rd\x0be\u2028f'.splitlines() }}|{{ 'a\nb\n'.splitlines() }}|{{ 'a\nb'.splitlines(true) }}|{{ ''.splitlines() }}
{{ 'abc'.isalpha() }}|{{ 'ab1'.isalpha() }}|{{ 'ab1'.isalnum() }}|{{ '12'.isdigit() }}|{{ '²'.isdigit() }}|{{ '²'.isdecimal() }}|{{ '½'.isnumeric() }}|{{ ''.isdigit() }}|{{ ' \n'.isspace() }}|{{ ''.isspace() }}|{{ 'é'.isascii() }}|{{ 'a_1'.isidentifier() }}|{{ '1a'.isidentifier() }}|{{ 'Ab Cd'.istitle() }}|{{ 'AB'.isupper() }}|{{ 'a1'.islower() }}|{{ 'a\n'.isprintable() }}
{{ 'a\tb'.expandtabs() }}|{{ 'a\tb'.expandtabs(4) }}
{{ '{} {}'.format(1, 'a') }}|{{ '{1} {0}'.format('x', 'y') }}|{{ '{a}-{b}'.format(a=1, b=[2]) }}|{{ '{{}}'.format() }}|{{ '{0[k]} {1[0]}'.format({'k': 'v'}, [9]) }}|{{ '{!r}'.format('q') }}|{{ '{!s}'.format(none) }}
{{ '{:>5}|{:<5}|{:^5}|{:*^7}'.format('a', 'b', 'c', 'd') }}|{{ '{:05d}|{:+d}|{:,}|{:x}|{:#x}|{:b}|{:o}|{:X}'.format(42, 5, 1234567, 255, 255, 5, 8, 255) }}
{{ '{:.2f}|{:8.3f}|{:e}|{:g}|{:.1%}|{:,.2f}|{:.3}|{:.2}'.format(3.14159, 2.5, 12345.678, 0.00001, 0.256, 1234567.891, 3.14159, 'hello') }}
{{ '{:d}'.format('x') }}
{{ '{}'.format() }}
{{ '{a}'.format() }}
{{ '{:{w}}|'.format('a', w=4) }}|{{ '{:.{p}f}'.format(2.0, p=1) }}
{{ '{}'.format(1.0) }}|{{ '{}'.format(true) }}|{{ '{}'.format([1, 'a']) }}|{{ '{:10}|'.format(1) }}|{{ '{:10}|'.format('a') }}|{{ '{:5}|'.format(true) }}
{{ '%s-%d' % ('a', 3) }}|{{ '%s' % 'x' }}|{{ '%s' % [1] }}|{{ '%r' % 'x' }}|{{ '%%' % () }}|{{ '%5s|%-5s|' % ('a', 'b') }}|{{ '%05d|%+d|% d' % (42, 5, 5) }}|{{ '%.2f|%6.1f' % (3.14159, 2.25) }}|{{ '%x|%X|%o|%#x' % (255, 255, 8, 255) }}|{{ '%e|%g|%G' % (12345.678, 0.00001, 1e20) }}|{{ '%c%c' % ('a', 98) }}
{{ '%(a)s and %(b)d' % {'a': 'x', 'b': 2} }}|{{ '%s' % {'a': 1} }}|{{ '%s' % none }}|{{ '%d' % 3.9 }}|{{ '%i' % true }}|{{ '%.3s' % 'abcdef' }}|{{ '%*d' % (5, 42) }}
{{ '%d' % 'x' }}
{{ '%s %s' % ('a',) }}
{{ '%s' % ('a', 'b') }}
{{ '%s' % (('a', 'b'),) }}
{{ 'plain' % 1 }}
{{ 'plain' % {'a': 1} }}
{{ '%q' % 1 }}
{{ 'a\tb\\n\'\"\x41\u0042\U00000043\101\q' }}
{{ 'line\
continued' }}
{{ '\a\b\f\v' == '\x07\x08\x0c\x0b' }}|{{ 'é\u00e9' }}|{{ '\é' }}
{{ '\x4' }}
{{ '\u12' }}
{{ "a'b" }}|{{ 'a"b' }}|{{ "a\"b" }}|{{ '{{ x }}' }}|{{ '%}' }}|{{ '{# no #}' }}
{{ 'abc'.nope() }}
{{ 'a'.upper(1) }}
{{ 'a'.strip(1) }}
{{ 'abc'.join }}|{{ 1 }}
{{ 'x' * 3 ~ 'y' }}|{{ ('x' ~ 'y') * 2 }}
{{ 'abc'|length }}|{{ 'a' in 'abc' and 'd' not in 'abc' }}|{{ 'abc' == 'abc' }}
{{ 'Hello World'.lower().split(' ')|join('_') }}
{{ '%s'|format('a') }}|{{ '%s %d'|format('a', 1) }}|{{ '%(x)s'|format(x=1) }}
{{ '<|' + 'im_start' + '|>' }}|{{ '<|im_start|>' ~ messages[0].role ~ '\n' ~ messages[0]['content'] | trim ~ '<|im_end|>' }}
{{ text.split()[1] }}|{{ text.split(' ')|map('upper')|join('+') }}
{{ text.find('quick') > 0 }}|{{ (text|string).index('T') }}|{{ 'abc'.__len__ }}
"""

COLLECTIONS = r"""
{{ d.get('b') }}|{{ d.get('zz') }}|{{ d.get('zz', 'dflt') }}
{{ d.get('zz', default=1) }}
{{ d.keys()|list }}|{{ d.values()|list }}|{{ d.items()|list }}|{{ d|list }}|{{ d.items()|length }}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
{% for k in d %}{{ k }}{% endfor %}|{% for v in d.values() %}{{ v }};{% endfor %}
{{ d.copy() == d }}|{{ {'a': 1}.copy() }}
{{ {}.fromkeys(['a', 'b'], 0) }}
{{ d.keys()[0] }}|{{ (d.keys()|list)[0] }}|{{ 'b' in d.keys() }}|{{ ('b', 1) in d.items() }}
{{ numbers.index(1) }}|{{ numbers.count(3) }}|{{ [1, 1].count(true) }}|{{ numbers.copy() }}|{{ (1, 2, 1).count(1) }}|{{ (1, 2).index(2) }}
{{ numbers.index(9) }}
{{ numbers.append(1) }}
{{ numbers.sort() }}
{{ numbers.pop() }}
{{ d.update({'x': 1}) }}
{{ d.pop('b') }}
{{ d.setdefault('q', 1) }}
{{ d.clear() }}
{{ d.get() }}
{{ d.a.append }}|{{ d.update }}
{{ [1, 2,] }}|{{ {'a': 1,} }}|{{ (1, 2,) }}|{{ [[], [[]]] }}
{{ {'b': 1, 'a': 2, 'b': 3} }}
{{ {'x': messages[0].role, 'y': [n, f]} }}
{{ dict(**{'a': 1}) }}|{{ dict(d, b=5).b }}
{{ range(0) }}|{{ range(3, 0, -1)|list }}|{{ range(10, 0)|list }}|{{ range(5)|length }}|{{ range(1, 4)|sum }}|{{ range(3) == range(3) }}
{{ range(0, 5, 0) }}
{{ range(1000000) }}
{{ range('a') }}
{{ range(1.0) }}
{{ range() }}
{{ n.bit_length() }}|{{ (2.0).is_integer() }}|{{ n.real }}|{{ f.real }}
{% set a, b = 1, 2 %}{{ a }}{{ b }}
{% set a, b = [1, 2] %}{{ a }}{{ b }}
{% set (a, b) = 'xy' %}{{ a }}{{ b }}
{% set a, (b, c) = 1, (2, 3) %}{{ a }}{{ b }}{{ c }}
{% set a, b = [1] %}{{ a }}
{% set a, b = [1, 2, 3] %}{{ a }}
{% set a = 1, 2 %}{{ a }}
{% set a = 1, %}{{ a }}
{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for a, b in ['xy', 'zw'] %}{{ b }}{{ a }}{% endfor %}
{% for a, b in d %}{{ a }}{% endfor %}
{% for a, b in [1] %}{{ a }}{% endfor %}
{% set ns = namespace(x=1, y=[]) %}{% set ns.x = ns.x + 1 %}{% set ns.y = ns.y + [ns.x] %}{{ ns.x }}{{ ns.y }}
{% set ns = namespace() %}{% for i in range(3) %}{% set ns.last = i %}{% endfor %}{{ ns.last }}|{{ ns.nope }}|{{ ns.nope is defined }}
{% set ns = {'a': 1} %}{% set ns.a = 2 %}
{% set ns.x = 2 %}
{% set ns = namespace(found=false) %}{% for m in messages %}{% if m.role == 'assistant' %}{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.found }}
{% set ns = namespace(a=1) %}{{ ns['a'] }}|{{ ns.a is defined }}
{% set ns = namespace(a=1) %}{% set ns.a, x = 5, 6 %}{{ ns.a }}{{ x }}
{% set messages = [] %}{{ messages|length }}
{% set x = 1 %}{% set x = x + 1 %}{{ x }}
{% set loop_messages = messages[1:] %}{{ loop_messages|length }}
{% set x %}a{{ n }}b{% endset %}[{{ x }}]|{{ x is string }}
{% set x | upper %}a{{ n }}b{% endset %}[{{ x }}]
{% set x | replace('a', 'z') | upper %}abc{% endset %}{{ x }}
{% set ns = namespace(t='') %}{% set ns.t %}block{% endset %}{{ ns.t }}
{% set 1 = 2 %}
{% set x.y.z = 2 %}
{% set none = 2 %}
{% set a = b = 1 %}
{{ cycler('a', 'b').next() }}|{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.current }}
{% set j = joiner('; ') %}{% for x in numbers %}{{ j() }}{{ x }}{% endfor %}
"""

LOOPS = r"""
{% for x in numbers %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}
{% for x in numbers %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}
{% for x in numbers %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }};{% endfor %}
{% for x in numbers %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }};{% endfor %}
{% for x in numbers %}{{ loop.cycle('odd', 'even') }}{% endfor %}
{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }};{% endfor %}
{% for x in numbers if x > 1 %}{{ loop.index }}:{{ x }}/{{ loop.length }} {% endfor %}
{% for x in numbers if x > 5 %}a{% else %}b{% endfor %}
{% for x in [] %}a{% else %}b{% endfor %}
{% for m in messages if m.role == 'user' %}{{ loop.first }}{{ m.content }}{% endfor %}
{% for x in numbers %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}
{% for x in numbers %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for x in numbers %}{% break %}{% else %}e{% endfor %}|
{% for x in numbers %}{% for y in 'ab' %}{% if y == 'b' %}{% continue %}{% endif %}{{ x }}{{ y }}{% endfor %};{% endfor %}
{% break %}
{% continue %}
{% for x in tree recursive %}{{ x.v }}{% if x.kids %}({{ loop(x.kids) }}){% endif %}{% endfor %}
{% for x in tree recursive %}{{ loop.depth }}{{ loop.depth0 }}{{ loop(x.kids) }}{% endfor %}
{% for x in tree %}{{ loop(x.kids) }}{% endfor %}
{% for x in numbers %}{% set y = x %}{% endfor %}{{ y }}
{% set y = 0 %}{% for x in numbers %}{% set y = y + x %}{{ y }}{% endfor %}|{{ y }}
{% set y = 0 %}{% for x in numbers %}{{ y }}{% set y = x %}{% endfor %}|{{ y }}
{% set x = 'out' %}{% for x in numbers %}{{ x }}{% endfor %}{{ x }}
{% for x in numbers %}{% for y in numbers %}{{ loop.index }}{% endfor %}{{ loop.index }};{% endfor %}
{% for x in numbers %}{% set outer = loop %}{% for y in 'ab' %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}
{{ loop }}|{{ loop is defined }}
{% for x in numbers %}{% endfor %}{{ loop is defined }}
{% for c in 'héy😀' %}{{ c }}.{% endfor %}
{% for x in (1, 2) %}{{ x }}{% endfor %}|{% for x in range(2) %}{{ x }}{% endfor %}|{% for x in d.items() %}{{ x }}{% endfor %}
{% for x in 1, 2, 3 %}{{ x }}{% endfor %}
{% for x in numbers|sort %}{{ x }}{% endfor %}|{% for x in numbers|reverse %}{{ x }}{% endfor %}|{% for x in numbers[::-1] %}{{ x }}{% endfor %}
{% for i in range(messages|length) %}{{ i }}{{ messages[i].role }} {% endfor %}
{% for i in range(messages|length - 1, -1, -1) %}{{ i }}{% endfor %}
{% for x in numbers|map('string') %}{{ loop.length }}{{ x }}{{ loop.last }}{% endfor %}
{% for message in messages %}{{ loop.index0 }}{{ (message['role'] == 'user') != (loop.index0 % 2 == 0) }}{% endfor %}
{% for x in numbers %}{{ loop }}{% endfor %}
{% for x in numbers %}{{ x }}{% endfor
{% for x in numbers %}{{ x }}
{% for in numbers %}{% endfor %}
{% for x numbers %}{% endfor %}
{% endfor %}
{% for x.y in numbers %}{% endfor %}
{% for x in numbers %}{% endif %}
{% for loop in numbers %}{{ loop }}{% endfor %}
{% if 1 %}a{% endif %}|{% if 0 %}a{% endif %}|{% if 0 %}a{% else %}b{% endif %}|{% if 0 %}a{% elif 1 %}b{% else %}c{% endif %}|{% if 0 %}a{% elif 0 %}b{% elif 0 %}d{% else %}c{% endif %}
{% if n > 5 and f < 3 or no %}a{% endif %}|{% if not (n > 5) %}a{% else %}b{% endif %}|{% if 'a' in 'abc' %}c{% endif %}
{% if messages[0]['role'] == 'system' %}{% set sys = messages[0]['content'] %}{% else %}{% set sys = '' %}{% endif %}{{ sys }}
{% if no %}{% set zz = 1 %}{% endif %}{{ zz is defined }}|{{ zz }}
{% if yes %}{% set zz = 1 %}{% endif %}{{ zz }}
{% if no %}{% set n = 1 %}{% endif %}{{ n }}
{% if %}a{% endif %}
{% if 1 %}a
{% if 1 %}a{% else %}b{% else %}c{% endif %}
{% elif 1 %}
{% if 1, 2 %}t{% endif %}
{% for x in numbers if x is odd recursive %}{{ x }}{% endfor %}
{% with %}{% set a = 1 %}{{ a }}{% endwith %}{{ a is defined }}
{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% with a = 1 %}{% with b = a + 1 %}{{ b }}{% endwith %}{% endwith %}
{% set a = 5 %}{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% with a, b = (1, 2) %}{{ a }}{{ b }}{% endwith %}
{% filter upper %}a{{ text }}b{% endfilter %}
{% filter replace('a', 'b')|upper %}aXa{% endfilter %}
{% filter indent(2) %}a
b{% endfilter %}
{% raw %}{{ x }}{% if %}{# c #}{% endraw %}
{% raw -%}  a  {%- endraw %} b
a {%- raw %} b {% endraw -%} c
{% raw %}unclosed
{% print 1, 'a' %}
{% block b %}x{{ n }}{% endblock %}|{% block c %}y{% endblock c %}
{% set q = 1 %}{% block b2 %}{{ q }}{% endblock %}
{% for x in [1] %}{% block b3 %}[{{ x }}]{% endblock %}{% endfor %}
{% for x in [1] %}{% block b4 scoped %}[{{ x }}]{% endblock %}{% endfor %}
{% include 'x' %}
{% extends 'x' %}
{% import 'x' as y %}
{% do 1 %}
{% nope %}
{% %}
{{ }}
{{ 1 2 }}
{{ (1 }}
{{ [1 }}
{{ {'a' 1} }}
{{ 'unclosed }}
{{ 1 | }}
{{ a b }}
{{ 1 }
{{ @ }}
{{ $x }}
{{ 1 ? 2 : 3 }}
{{ x! }}
{# unclosed
{# a comment #}b{#- trimmed -#}  c
{{ 1 }}{# {{ 2 }} #}{{ 3 }}
{% generation %}gen{{ n }}{% endgeneration %}
{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.role }}{% endgeneration %}{% endif %}{% endfor %}
{% autoescape false %}{{ html }}{% endautoescape %}
"""

MACROS = r"""
{% macro m(a, b=2) %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(a=4) }}{{ m(b=5, a=6) }}{{ m() }}
{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m('x') }}
{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, z=2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}
{% macro m(a=1, b) %}{% endmacro %}
{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}|{{ m(none) }}
{% macro m() %}{{ n }}{% set n = 1 %}{{ n }}{% endmacro %}{{ m() }}|{{ n }}
{% macro f(x) %}{% if x > 0 %}{{ x }}{{ f(x - 1) }}{% endif %}{% endmacro %}{{ f(3) }}
{% macro m() %}{{ later }}{% endmacro %}{% set later = 'L' %}{{ m() }}
{% macro m() %}  a  {% endmacro %}[{{ m()|trim }}]|{{ m()|length }}|{{ m() is string }}
{% macro m(a, b=1) %}{% endmacro %}{{ m.name }}|{{ m.arguments }}|{{ m.catch_kwargs }}|{{ m.catch_varargs }}|{{ m.caller }}
{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}in{{ n }}{% endcall %}
{% macro m(l) %}{% for x in l %}<{{ caller(x) }}>{% endfor %}{% endmacro %}{% call(x) m(numbers) %}{{ x * 2 }}{% endcall %}
{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}
{% macro m() %}a{% endmacro %}{% call m() %}x{% endcall %}
{% macro m(a) %}{{ a }}{{ caller(1, 2) }}{% endmacro %}{% call(x, y=5) m('q') %}{{ x }}{{ y }}{% endcall %}
{% call 5 %}x{% endcall %}
{% macro a() %}A{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}
{% macro m(x) %}{{ x }}{% endmacro %}{{ m(*[1]) }}{{ m(**{'x': 2}) }}
{% for i in [1, 2] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}
{% macro m() %}{% for x in numbers %}{% if x == 1 %}{% continue %}{% endif %}{{ loop.index }}{% endfor %}{% endmacro %}{{ m() }}
{% macro render(c) %}{% if c is string %}{{ c }}{% else %}{% for p in c %}{% if p.type == 'text' %}{{ p.text }}{% else %}<{{ p.type }}>{% endif %}{% endfor %}{% endif %}{% endmacro %}{{ render(typed) }}|{{ render(text) }}
{% macro m(a, a2='x') -%}  {{ a }}-{{ a2 }}  {%- endmacro %}[{{ m('q') }}]
{% set x = 1 %}{% macro m() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ m() }}
{% macro m %}{% endmacro %}
{% macro m() %}
{{ m() }}{% macro m() %}early{% endmacro %}
{% macro loopy() %}{{ loopy() }}{% endmacro %}{{ loopy() }}
{{ n() }}
{{ 'a'() }}
{{ raise_exception('custom words') }}
{{ raise_exception() }}
{% if messages[0].role == 'user' %}{{ raise_exception('no') }}{% endif %}fine
{{ strftime_now('%Y-%m-%d %H:%M:%S %j %A %a %B %b %d %y %p %I %% %f %-d %-m %e') }}
{{ strftime_now('%d %b %Y') }}|{{ strftime_now('') }}|{{ strftime_now('%Y')|length }}
{{ strftime_now() }}
{{ range(3)|map('string')|list }}|{{ (range(3)|map('string')|list)[0] }}
"""

FILTERS = r"""
{{ -5|abs }}|{{ (-5)|abs }}|{{ (-2.5)|abs }}|{{ true|abs }}
{{ 'a'|abs }}
{{ d|attr('b') }}|{{ d|attr('keys') is callable }}|{{ 'x'|attr('__class__') }}
{{ range(7)|batch(3)|list }}|{{ range(7)|batch(3, 'x')|list }}|{{ range(7)|slice(3)|list }}|{{ range(7)|slice(3, 'x')|list }}
{{ 'aBC'|capitalize }}|{{ 'hello wORLD'|title }}|{{ "it's-a (test) [of] <that>"|title }}|[{{ 'a'|center(5) }}]|{{ 'aB'|upper }}|{{ 'aB'|lower }}|{{ 5|upper }}
{{ none|default('x') }}|{{ none|default('x', true) }}|{{ ''|default('x', boolean=true) }}|{{ undefined_thing|d(1) }}|{{ d.nope|default([]) }}|{{ undefined_thing|default }}
{{ undefined_thing.x|default('y') }}
{{ d|dictsort }}|{{ d|dictsort(true) }}|{{ {'x': 2, 'y': 1}|dictsort(by='value') }}|{{ {'x': 2, 'y': 1}|dictsort(reverse=true) }}
{{ d|dictsort(by='nope') }}
{{ html|e }}|{{ html|escape }}|{{ "'"|e }}|{{ 5|e }}|{{ html|forceescape }}|{{ html|safe }}|{{ '&lt;b&gt;<i>x</i>  y'|striptags }}
{{ 1000|filesizeformat }}|{{ 1|filesizeformat }}|{{ 1500000|filesizeformat }}|{{ 1024|filesizeformat(true) }}|{{ 999|filesizeformat }}|{{ 123456789012|filesizeformat(binary=true) }}
{{ numbers|first }}|{{ numbers|last }}|{{ []|first }}|{{ []|last }}|{{ 'abc'|first }}|{{ 'abc'|last }}|{{ d|first }}|{{ d|last }}|{{ ([]|first) is defined }}
{{ 5|first }}
{{ '1.5'|float }}|{{ 'x'|float }}|{{ 'x'|float(2.0) }}|{{ 3|float }}|{{ none|float }}|{{ ' 1e3 '|float }}|{{ 'inf'|float }}|{{ '1_0'|float }}
{{ '42'|int }}|{{ '42.9'|int }}|{{ 'x'|int }}|{{ 'x'|int(5) }}|{{ 3.9|int }}|{{ -3.9|int }}|{{ none|int }}|{{ '0x1A'|int(0, 16) }}|{{ 'ff'|int(base=16) }}|{{ ' 7 '|int }}|{{ true|int }}|{{ '1_000'|int }}|{{ '1e3'|int }}
{{ users|groupby('age') }}
{% for g in users|groupby('age') %}{{ g.grouper }}:{{ g.list|map(attribute='name')|join(',') }};{% endfor %}
{% for age, us in users|groupby('age') %}{{ age }}:{{ us|length }};{% endfor %}
{{ users|groupby('nick', default='?')|length }}
{{ words|groupby(0)|length }}
{{ lines|indent }}|{{ lines|indent(2) }}|{{ lines|indent(2, true) }}|{{ lines|indent(2, blank=true) }}|{{ lines|indent('>> ') }}|{{ lines|indent(width=1, first=true, blank=true) }}|{{ ''|indent }}|{{ 'a\n'|indent }}
{{ d|items|list }}|{{ undefined_thing|items|list }}
{{ [1]|items|list }}
{{ [1, 'a', none, 2.0]|join }}|{{ [1, 2]|join('-') }}|{{ users|join(', ', attribute='name') }}|{{ users|join(attribute='age', d='/') }}|{{ 'abc'|join('.') }}|{{ d|join(',') }}|{{ [1, 2]|join(3) }}
{{ 5|join }}
{{ numbers|length }}|{{ 'é😀'|length }}|{{ d|length }}|{{ numbers|count }}|{{ ()|length }}|{{ d.keys()|length }}
{{ 5|length }}
{{ none|length }}
{{ (numbers|map('string'))|length }}
{{ 'abc'|list }}|{{ d|list }}|{{ (1, 2)|list }}|{{ range(3)|list }}
{{ none|list }}
{{ users|map(attribute='name')|list }}|{{ users|map(attribute='tags.0')|list }}|{{ users|map(attribute='nick', default='-')|list }}|{{ words|map('upper')|list }}|{{ words|map('replace', 'a', 'o')|list }}|{{ numbers|map('string')|join }}|{{ nested|map('first')|list }}|{{ nested|map(attribute=0)|list }}|{{ []|map('upper')|list }}|{{ words|map('length')|list }}
{{ words|map('nope')|list }}
{{ words|map|list }}
{{ words|map(attribute='a', x=1)|list }}
{{ numbers|max }}|{{ numbers|min }}|{{ words|max }}|{{ words|min }}|{{ words|min(case_sensitive=true) }}|{{ users|max(attribute='age') }}|{{ []|max }}|{{ [1, 2.5]|max }}
{{ [1, 'a']|max }}
{{ numbers|select('odd')|list }}|{{ numbers|select('gt', 1)|list }}|{{ numbers|reject('odd')|list }}|{{ [0, 1, '', 'a', none]|select|list }}|{{ [0, 1]|reject|list }}|{{ numbers|select('in', [1, 2])|list }}|{{ words|select('equalto', 'apple')|list }}|{{ numbers|select('==', 1)|list }}|{{ numbers|select('divisibleby', 3)|list }}
{{ users|selectattr('on')|map(attribute='name')|list }}|{{ users|rejectattr('on')|map(attribute='name')|list }}|{{ users|selectattr('age', 'equalto', 30)|list|length }}|{{ users|selectattr('age', 'gt', 26)|map(attribute='name')|join(',') }}|{{ users|selectattr('nick', 'defined')|list|length }}|{{ users|selectattr('nick', 'none')|list|length }}|{{ users|rejectattr('tags')|list|length }}|{{ messages|selectattr('role', '==', 'user')|list|length }}|{{ users|selectattr('age', '>=', 30)|list|length }}
{{ typed|selectattr('type', 'equalto', 'text')|map(attribute='text')|join('') }}
{{ users|selectattr|list }}
{{ numbers|select('nope')|list }}
{{ [3, 1, 2]|sort }}|{{ words|sort }}|{{ words|sort(case_sensitive=true) }}|{{ words|sort(reverse=true) }}|{{ users|sort(attribute='age')|map(attribute='name')|list }}|{{ users|sort(attribute='age,name')|map(attribute='name')|list }}|{{ d|sort }}|{{ 'hello'|sort }}|{{ [2, 1.5, true]|sort }}|{{ [(1, 'b'), (1, 'a')]|sort }}
{{ [1, 'a']|sort }}
{{ [none, 1]|sort }}
{{ users|sort }}
{{ 'aXbX'|replace('X', '-') }}|{{ 'aXbX'|replace('X', '-', 1) }}|{{ 5|replace('5', 'a') }}|{{ 'a.b'|replace('.', '\\') }}|{{ 'abc'|replace('b', '') }}|{{ 'ab'|replace(old='a', new='c') }}
{{ 'a'|replace('a') }}
{{ 'abc'|reverse }}|{{ numbers|reverse|list }}|{{ d|reverse|list }}|{{ emoji|reverse }}|{{ range(3)|reverse|list }}
{{ 5|reverse }}
{{ 2.5|round }}|{{ 3.5|round }}|{{ 2.675|round(2) }}|{{ 1.005|round(2) }}|{{ 42.55|round(1) }}|{{ 42|round }}|{{ 42.4|round(0, 'ceil') }}|{{ 42.6|round(method='floor') }}|{{ -2.5|round }}|{{ 1234|round(-2) }}|{{ 1250.0|round(-2) }}|{{ 2.345|round(1, 'ceil') }}|{{ 0.125|round(2) }}
{{ 2.5|round(1, 'nope') }}
{{ 'a'|string }}|{{ 5|string }}|{{ none|string }}|{{ [1]|string }}|{{ true|string }}|{{ 1.0|string }}
{{ numbers|sum }}|{{ users|sum(attribute='age') }}|{{ [1, 2]|sum(start=10) }}|{{ []|sum }}|{{ [1.5, 2]|sum }}|{{ [[1], [2]]|sum(start=[]) }}
{{ ['a']|sum }}
[{{ '  a '|trim }}]|[{{ 'xxaxx'|trim('x') }}]|[{{ 5|trim }}]|[{{ '\n a\n'|trim }}]
{{ 'The quick brown fox jumps'|truncate(10) }}|{{ 'The quick brown fox jumps'|truncate(10, true) }}|{{ 'The quick brown fox'|truncate(11, false, '..', 0) }}|{{ 'short'|truncate(4) }}|{{ 'The quick brown fox jumps'|truncate(length=15, leeway=0, end='') }}
{{ [1, 2, 1, 'a', 'A', 1.0]|unique|list }}|{{ ['a', 'A']|unique(true)|list }}|{{ users|unique(attribute='age')|map(attribute='name')|list }}
{{ 'a b&c/é?=1'|urlencode }}|{{ {'a': 'x y', 'b': 1}|urlencode }}|{{ [('k', 'v/w')]|urlencode }}
{{ 'one two, three-four'|wordcount }}|{{ ''|wordcount }}|{{ 'é_1 ü'|wordcount }}
{{ {'a': 1, 'b': none, 'c': '<'}|xmlattr }}
{{ 'a'|nope }}
{% if no %}{{ 'a'|nope }}{% endif %}ok
{{ 'a'|upper|lower|title }}|{{ 'a' | upper }}|{{ ('a' ~ 'b')|upper }}|{{ 'a' ~ 'b'|upper }}|{{ -1|abs }}|{{ not 'a'|length }}
{{ 'a,b'.split(',')|map('upper')|join(';') }}|{{ (numbers|sort)[0] }}|{{ numbers|sort|first }}|{{ numbers|length > 2 }}|{{ numbers|length + 1 }}
{{ 'x'|upper() }}|{{ 'a b'|replace(' ', '_')|upper }}|{{ [1, 2]|last|string ~ 'x' }}
{{ 'a'|upper(1) }}
{{ ' a '|trim|length }}|{{ numbers|map('string')|map('length')|sum }}
{{ {'a': 1}|length }}|{{ {'a': {'b': 1}}.a.b }}|{{ {'a': 1}['a'] }}|{{ [1, 2][0] }}|{{ 'abc'[1] }}|{{ (1, 2)|first }}
{{ 3.7|int + 1 }}|{{ '3'|int * 2 }}|{{ 10|float / 4 }}
{{ [1, [2, [3]]]|string }}|{{ {'a': (1,)}|string }}
{{ '%.2f'|format(1) }}|{{ '%s, %s!'|format('a', 'b') }}
{{ [1, 2, 3]|random is integer }}
{{ ['b', 'a']|map('upper')|sort|join }}
{{ 'a\u0301'|length }}|{{ 'ÄÖÜ'|lower }}|{{ 'ß'|upper }}|{{ 'ß'|title }}|{{ 'ﬁ'|capitalize }}
"""

TOJSON = r"""
{{ 1|tojson }}|{{ 1.0|tojson }}|{{ 1.5|tojson }}|{{ true|tojson }}|{{ none|tojson }}|{{ 'a'|tojson }}|{{ []|tojson }}|{{ {}|tojson }}|{{ ()|tojson }}
{{ d|tojson }}|{{ (1, 2)|tojson }}|{{ [[], {}, [1]]|tojson }}
{{ 'Grüße 世界 😀 <b> & \' " \\ \n \t \r \x00 \x1f \x7f \u2028'|tojson }}
{{ 'é😀'|tojson(ensure_ascii=true) }}|{{ 'é'|tojson(ensure_ascii=false) }}
{{ tools|tojson }}
{{ tools|tojson(indent=4) }}
{{ tools|tojson(indent=2) }}
{{ d|tojson(indent=1) }}|{{ []|tojson(indent=2) }}|{{ {}|tojson(indent=2) }}|{{ [[]]|tojson(indent=2) }}|{{ [1, {'a': []}]|tojson(indent=0) }}
{{ d|tojson(indent='--') }}|{{ [1]|tojson(indent='\t') }}
{{ d|tojson(separators=(',', ':')) }}|{{ d|tojson(indent=2, separators=(', ', ' = ')) }}
{{ {'b': 1, 'a': 2}|tojson(sort_keys=true) }}|{{ {'b': 1, 'a': {'d': 1, 'c': 2}}|tojson(sort_keys=true, indent=2) }}
{{ {1: 'a', 1.5: 'b', true: 'c', none: 'd'}|tojson }}|{{ {2: 'a', 2.0: 'z'}|tojson }}
{{ {(1, 2): 'a'}|tojson }}
{{ 1e16|tojson }}|{{ 1e22|tojson }}|{{ 1.5e-7|tojson }}|{{ 0.1|tojson }}|{{ 1e400|tojson }}|{{ (1e400 - 1e400)|tojson }}|{{ -1e400|tojson }}|{{ -0.0|tojson }}|{{ 9007199254740993|tojson }}
{{ range(3)|tojson }}
{{ d.items()|tojson }}
{{ d.items()|list|tojson }}
{{ [undefined_thing]|tojson }}
{{ namespace(a=1)|tojson }}
{{ (numbers|map('string'))|tojson }}|{{ 1 }}
{{ numbers|map('string')|list|tojson }}
{{ messages|tojson }}|{{ messages[1].content|tojson }}
{{ {'a': 'x'}|tojson|upper }}|{{ 'x' ~ {'a': 1}|tojson ~ 'y' }}|{{ {'a': 1}|tojson|length }}
{{ '</script>'|tojson }}|{{ {'n': {'m': {'l': [1, 2, {'k': 'v'}]}}}|tojson(indent=3) }}
{{ weird|tojson }}|{{ {'a': none, 'b': true}|tojson }}
{{ d|tojson(true) }}|{{ d|tojson(false, 2) }}
{{ d|tojson(nope=1) }}
{{ tools[0].function|tojson }}|{{ tools|map(attribute='function')|list|tojson }}
{% for t in tools %}{{ t|tojson }}{{ '\n' if not loop.last }}{% endfor %}
{{ {'z': 1, 'y': 2, 'x': 3}|tojson }}|{{ dict(z=1, y=2)|tojson }}|{{ {'a': 1, 'b': 2, 'a': 3}|tojson }}
{{ 'a'|tojson(indent=2) }}|{{ 5|tojson(4) }}
"""

# Whitespace: here each template is one Python string, as most have line breaks.
WHITESPACE = [
    "a\n{% if 1 %}\nb\n{% endif %}\nc",
    "a\n  {% if 1 %}\n  b\n  {% endif %}\nc",
    "a\n  {%+ if 1 %}\n  b\n  {%+ endif %}\nc",
    "a\n  {%- if 1 %}\n  b\n  {%- endif %}\nc",
    "a\n  {% if 1 -%}\n  b\n  {% endif -%}\nc",
    "a\n  {%- if 1 -%}\n  b\n  {%- endif -%}\n  c",
    "a\n  {% if 1 +%}\n  b\n  {% endif +%}\nc",
    "a\n  {{ 1 }}\n  b",
    "a\n  {{- 1 }}\n  b",
    "a\n  {{ 1 -}}\n  b",
    "a\n  {{- 1 -}}\n  b",
    "a \n\n\n {{- 1 -}} \n\n b",
    "{{ 1 }}\n",
    "{{ 1 }}\n\n",
    "{{ 1 }}\n\n\n",
    "\n",
    "\n\n",
    "",
    "  {% if 1 %}a{% endif %}  ",
    "  {% if 1 %}  a  {% endif %}  b",
    "x  {% if 1 %}a{% endif %}  b",
    "\t{% if 1 %}a{% endif %}",
    "\n\t {% if 1 %}a{% endif %}\n\n b",
    "a\n{# c #}\nb",
    "a\n  {# c #}\n  b",
    "a\n  {#- c -#}\n  b",
    "a\n  {#+ c +#}\n  b",
    "a {# c #} b",
    "{# c #}\n{# d #}\na",
    "{% set x = 1 %}\n{{ x }}",
    "{% set x = 1 %}\n\n{{ x }}",
    "{% set x = 1 -%}\n\n{{ x }}",
    "{%- set x = 1 %}\n{%- set y = 2 %}\n{{ x }}{{ y }}",
    "{% for x in numbers %}\n{{ x }}\n{% endfor %}\nend",
    "{% for x in numbers %}\n    {{ x }}\n{% endfor %}\n",
    "{%- for x in numbers -%}\n    {{ x }}\n{%- endfor -%}\n",
    "{%- for x in numbers %}\n    {{- x }}\n{%- endfor %}\n",
    "  {% for x in numbers %}\n  {{ x }}{% endfor %}\n  z",
    "{% if 1 %}{% endif %}\n\nq",
    "{% if 1 %}\n\n\nq{% endif %}",
    "{{ 'a' }}\n{% if 1 %}{% endif %}\n{{ 'b' }}",
    "a{% raw %}\n {{ x }} \n{% endraw %}\nb",
    "a\n  {% raw %}\n x\n  {% endraw %}\nb",
    "a  {%- raw -%}  x  {%- endraw -%}  b",
    "{% raw +%}x{% endraw %}",
    "a\r\n{{ 'b' }}\r\nc",
    "{% if 1 %}\r\na\r\n{% endif %}\r\nb\r\n",
    "a\rb\r{% if 1 %}\rc{% endif %}\r",
    "{{ 'a\r\nb' }}",
    "{# c\r\n #}\r\na",
    "  \r\n  {% if 1 %}\r\n  a\r\n  {% endif %}\r\n",
    "{{\n1\n}}",
    "{%\nif\n1\n%}a{%\nendif\n%}",
    "{{ [\n1,\n2\n] }}",
    "{{ {\n'a': 1,\n} }}",
    "{{1}}{{'a'}}{%if 1%}b{%endif%}",
    "{{-1}}",
    "{{- -1 }}",
    "{{+1}}",
    "{{ {'a':{'b':1}}.a.b }}",
    "{{ {'a':{}} }}",
    "{{ {'a':{}}}}",
    "{{{}}}",
    "{{ '}}' }}{{ \"%}\" }}",
    "{ { 1 } }{",
    "{a} {%raw%}{%{%endraw%}",
    "{ % if %}",
    "a{%- if 1 -%} b {%- endif -%} c",
    "\u00a0{%- if 1 %}a{% endif %}",
    "\u3000\n\u00a0{% if 1 %}a{% endif %}",
    "\ufeff{% if 1 %}a{% endif %}",
    "a\n \x0b\x0c{% if 1 %}b{% endif %}",
    "{%- macro m() -%}\n  x\n{%- endmacro -%}\n\n{{ m() }}",
    "{% macro m() %}\n  x\n{% endmacro %}\n[{{ m() }}]",
    "{% set x %}\n  y\n{% endset %}\n[{{ x }}]",
    "{{ 'a' -}}\n{#- c #}\n{{- 'b' }}",
    "{%- if 0 -%}\n{%- elif 1 -%}\n  x\n{%- else -%}\n{%- endif -%}\n y",
    "<s>\n\n{%- for m in messages -%}\n<|{{ m.role }}|>\n{{ m.content }}\n{% endfor -%}\n{{ 'x' }}",
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content.strip() }}{% if not loop.last %}\n{% endif %}\n{% endfor %}",
    "line1\\\nline2",
    "{{ 'a' }}\\n{{ '\\n' }}",
    "%}{{ 1 }}",
    "}}{{ 1 }}",
    "#}{{ 1 }}",
    "a {{ 1 }}} b",
    "{% if 1 %}{{ 1 }}{% endif %}",
    "{{ 1 -}}   ",
    "   {{- 1 }}",
    "a\n\n   {%- set x = 1 %}   \nb",
    "{{ 1 }}\n  {#- c #}  \n{{ 2 }}",
    "{{'a'~'b'}}",
    "{{ 1}}{{2 }}",
    "{%- if 1%}\n{{-1}}\n{%endif-%}",
    "{%-if 1-%} a {%-endif-%}",
    "{%- -%}",
    "{{- -}}",
]

MORE = r"""
{{ 'a' if messages|map(attribute='role')|list == ['system', 'user', 'assistant', 'user'] else 'b' }}
{{ messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|list|last }}
{{ (messages|length) // 2 }}|{{ messages|length is even }}|{{ (messages[-1]['role'] == 'user') and (messages|length % 2 == 0) }}
{{ messages[0]['content'] if messages[0]['role'] == 'system' else 'default' }}
{%- set ns = namespace(i=0, out='') -%}{%- for m in messages[::-1] -%}{%- set index = (messages|length - 1) - loop.index0 -%}{%- if m.role == 'user' and ns.i == 0 -%}{%- set ns.i = index -%}{%- endif -%}{%- endfor -%}{{ ns.i }}
{%- if tools is defined and tools is not none and tools|length > 0 -%}T{%- endif -%}
{%- if tools and tools is iterable and tools is not mapping -%}{{ tools[0]['function']['name'] }}{%- endif -%}
{%- for k, v in tools[0].function.parameters.properties.items() -%}{{ k }}: {{ v.type }}{{ ' = ' ~ v.default if 'default' in v }}; {%- endfor -%}
{{ tools[0].function.parameters.properties|dictsort|map('first')|join(',') }}|{{ tools[0].function.parameters.required|join(', ') }}
{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}x{% endif %}
{{ bos_token }}|{{ 'a' + bos_token }}
{{ tools[0].function.description|replace('<', '&lt;')|trim }}
{{ '' if loop_messages is not defined else loop_messages }}|{{ enable_thinking is defined and enable_thinking is false }}
{% set tool_calls = [{'function': {'name': 'f', 'arguments': {'a': 1}}}] %}{% for tc in tool_calls %}{% set tc = tc.function %}{{ '{"name": "' ~ tc.name ~ '", "arguments": ' ~ (tc.arguments if tc.arguments is string else tc.arguments|tojson) ~ '}' }}{% endfor %}
{% set x = '{"a": 1}' %}{{ x }}|{{ x|tojson }}|{{ x is mapping }}
{%- set date = strftime_now("%d %b %Y") if strftime_now is defined else "26 Jul 2024" -%}{{ date }}
{% set content = messages[1].content %}{% if content is string %}S{% elif content is sequence %}Q{% endif %}
{{ messages[-1:][0].role }}|{{ messages[:2]|map(attribute='role')|join('>') }}|{{ messages[1:-1]|length }}
{{ [messages[0]] + messages[2:] == messages }}|{{ ([messages[0]] + messages[1:]) == messages }}
{{ '<think>' in messages[2].content and '</think>' in messages[2].content }}
{{ messages[2].content.split('<think>')|last|trim }}|{{ (messages[2].content.split('</think>')|first).split('<think>')|last|trim }}
{% set s = namespace(v=messages[0].content) %}{% if s.v.startswith('Be') %}{% set s.v = s.v[3:] %}{% endif %}{{ s.v }}
{{ 'yes' if (n > 5 if yes else no) else 'no' }}|{{ [1, 2, 3][n if no else 1] }}|{{ {'k': 1 if yes else 2} }}
{{ users[0].tags|length if users[0].tags is defined else 0 }}|{{ (users|first).name|upper }}|{{ users|map(attribute='age')|unique|sort|join(' ') }}
{{ users|map(attribute='name')|map('lower')|sort|list }}|{{ users|sort(attribute='name')|map(attribute='name')|first }}|{{ users|sum('age') }}
{{ users|rejectattr('age', 'in', [25])|map(attribute='name')|join }}|{{ users|selectattr('name', 'in', ['Bob', 'Carol'])|list|count }}|{{ users|selectattr('tags.0', 'defined')|list|count }}
{{ d.a|map('default', 'x', true)|list }}|{{ [1, none]|map('string')|list }}|{{ words|map('first')|join }}|{{ words|map('title')|join(' ') }}
{{ words|map('trim', 'ae')|list }}|{{ [' a ', 'b ']|map('trim')|list }}|{{ [[3, 1], [2]]|map('sort')|list }}|{{ nested|map('last')|map('length')|list }}
{{ "{}"|format }}|{{ '%s'|format(none) }}|{{ '100%' }}|{{ '100%%' }}
{{ 10 // 3 }}|{{ 10 % 3 }}|{{ 10.0 // 3 }}|{{ 2 ** 3 }}|{{ (10 / 3)|round(2) }}|{{ (10 / 3)|int }}
{{ 1 == 1 and 2 == 2 }}|{{ 1 == 2 or 2 == 2 }}|{{ (1, 2) == (1, 2) }}|{{ [1] is sameas [1] }}|{{ 'a' == "a" }}
{{ yes|lower }}|{{ none|lower }}|{{ yes|string|lower }}|{{ yes ~ '' }}|{{ [yes, no, null] }}|{{ yes|tojson }}
{{ f|int }}|{{ f|round|int }}|{{ f * 2 }}|{{ (f * 2)|int }}|{{ f > 2 and f < 3 }}|{{ f is float }}|{{ (f * 2) == 5 }}|{{ 5 == 5.0 }}
{{ big }}|{{ big + 1 }}|{{ big * 2 }}|{{ big|tojson }}|{{ big / 2 }}|{{ big|float }}|{{ big ** 2 }}
{{ 1.0e10 }}|{{ 12345678901234567890.0 }}|{{ 0.00001 }}|{{ 1.10 }}|{{ 3.0 * 2 }}|{{ 1e2|int }}|{{ 5e-324 }}|{{ 1.7976931348623157e308 }}
{{ 'é' < 'f' }}|{{ 'Z' < 'a' }}|{{ ['é', 'z', 'a']|sort }}|{{ ['é', 'É', 'e']|sort }}|{{ 'ǅ'|lower }}|{{ 'ΑΣ'.lower() }}
{{ (1).bit_length() }}|{{ 1.5.is_integer() }}
{{ [1, 2, 3]|map('add', 1)|list }}
{{ none.x }}|{{ none|string }}|{{ none|upper }}|{{ none ~ 1 }}
{{ none[0] }}|{{ true[0] }}|{{ 5['a'] }}
{{ none() }}
{{ {'a': 1}.a.b.c }}
{{ messages[99].role }}
{{ messages.0.role }}|{{ messages.first }}|{{ messages['0'] }}
{{ raise_exception('x') if no else 'fine' }}|{{ no and raise_exception('x') }}|{{ yes or raise_exception('x') }}
{% set x = 5 %}{% if x %}{% set x = 6 %}{% endif %}{{ x }}|{% for i in [1] %}{% if yes %}{% set x = 7 %}{% endif %}{{ x }}{% endfor %}{{ x }}
{% set a = [] %}{% for m in messages %}{% set a = a + [m.role] %}{% endfor %}{{ a }}|{% set ns = namespace(a=[]) %}{% for m in messages %}{% set ns.a = ns.a + [m.role] %}{% endfor %}{{ ns.a }}
{% for m in messages %}{% if loop.first and m.role != 'system' %}A{% elif loop.last %}Z{% else %}{{ loop.index }}{% endif %}{% endfor %}
{% for m in messages %}{% set prev = loop.previtem %}{{ prev.role if prev is defined else 'START' }}>{% endfor %}
{% for m in messages %}{{ loop.nextitem.role if loop.nextitem is defined else 'END' }} {% endfor %}
{% for m in messages %}{% if loop.nextitem is defined and loop.nextitem.role == 'user' %}{{ loop.index }}{% endif %}{% endfor %}
{% for k, v in {'b': 1, 'a': 2}|dictsort %}{{ k }}{{ v }}{% endfor %}|{% for k, v in {'b': 1, 'a': 2}.items()|sort %}{{ k }}{% endfor %}
{% for k, v in d|items %}{{ loop.index }}{{ k }}{% endfor %}|{% for i, x in [(0, 'a'), (1, 'b')] %}{{ i }}{{ x }}{% endfor %}
{% for x in [1, 2, 3] %}{% if x is odd %}{{ x }}{% else %}{% continue %}{% endif %}-{% endfor %}
{% for x in range(3) %}{% for y in range(3) %}{% if y == 1 %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{% endfor %}
{% macro t(tool) %}{{ tool.name }}({% for k, v in tool.parameters.properties.items() %}{{ k }}: {{ v.type }}{% if not loop.last %}, {% endif %}{% endfor %}){% endmacro %}{% for x in tools %}{{ t(x.function) }}{% endfor %}
{% macro outer() %}{% macro inner(x) %}<{{ x }}>{% endmacro %}{{ inner(1) }}{% endmacro %}{{ outer() }}|{{ inner is defined }}
{% macro m(x=none, y=[]) %}{{ x is none }}{{ y|length }}{% endmacro %}{{ m() }}{{ m(1, [2]) }}{{ m(y='abc') }}
{% macro m(depth) %}{{ depth }}{% if depth < 3 %}{{ m(depth + 1) }}{% endif %}{% endmacro %}{{ m(0) }}
{% macro m() %}{{ messages|length }}{{ caller is defined }}{% endmacro %}{% set r = m() %}{{ r }}{{ r|length }}
{% set x = m is defined %}{{ x }}|{% macro m() %}{% endmacro %}{{ m is defined }}{{ m is callable }}
{{ cycler is defined }}|{{ joiner is callable }}|{{ dict is callable }}
{{ context is defined }}|{{ request is defined }}|{{ config is defined }}
{{ 0.1|tojson }}|{{ [0.1, 1e-7, 1e21, 100.0]|tojson }}|{{ {'f': 5.0}|tojson }}
{{ 'a'.isalpha() and not 'a'.isdigit() }}|{{ ('1' + '2')|int + 3 }}|{{ '5' * 2 }}|{{ '5'|int * 2 }}
{{ 'Yes'.lower() in ['yes', 'y'] }}|{{ 'abc'.upper().lower() == 'abc' }}|{{ ' x '.strip() ~ '|' }}|{{ 'a-b_c'.replace('-', '_').split('_') }}
{{ '\n'.join(['a', 'b']) }}|{{ '\n\n'.join(lines.split('\n')) }}|{{ lines.splitlines()|length }}|{{ lines.split('\n')[2] == '' }}
{{ 'https://x.y/z?q=1'.split('://', 1)[1].split('/')[0] }}|{{ 'a=1;b=2'.split(';')|map('replace', '=', ':')|join(',') }}
{{ 'aaa'.find('a', 1) }}|{{ 'abc'.find('c', -1) }}|{{ 'abc'.find('a', -2) }}|{{ 'abc'.count('b', 0, -1) }}|{{ 'abc'.rfind('z') }}
{{ [1, 2, 3, 4][1:3] }}|{{ [1, 2, 3, 4][-2:] }}|{{ [1, 2, 3, 4][::-2] }}|{{ [1, 2, 3, 4][3:0:-1] }}|{{ [1, 2, 3, 4][-10:10] }}|{{ 'abcdef'[-4:-1] }}
{{ (messages|list)[0].role }}|{{ messages|first|attr('role') }}|{{ (messages|first)['role'] }}|{{ messages|last|length }}
{{ ['a', 'b'] is sequence }}|{{ ['a'] is iterable }}|{{ ('a',) is iterable and ('a',) is not string }}|{{ {}.items() is iterable }}|{{ {} is iterable }}
{{ (1, 'a', none)|join('/') }}|{{ (1, (2, 3))|string }}|{{ [(1,), ()] }}|{{ {'t': (1, 2)} }}
{{ '' is defined }}|{{ '' is none }}|{{ '' is string }}|{{ 0 is number }}|{{ empty is sequence }}|{{ empty_list is not none and empty_list }}
{{ ''|default('x') }}|{{ ''|default('x', true) }}|{{ 0|default(5, true) }}|{{ false|default('f') }}|{{ none|d('x') }}
{{ 'ab'|list|join('-') }}|{{ 'ab'|first ~ 'cd'|last }}|{{ 'abc'|reverse|upper }}|{{ 'a b c'|wordcount }}
{{ 3|string * 2 }}|{{ 3 ~ 3 }}|{{ '3' + 3|string }}|{{ 3|string|int + 1 }}
{{ undefined_thing ~ 'x' }}|{{ undefined_thing or 'x' }}|{{ undefined_thing and 'x' }}|{{ (undefined_thing or {}).foo }}|{{ undefined_thing is sameas undefined_thing }}
{{ undefined_thing|string }}|{{ undefined_thing|first }}|{{ undefined_thing|map('upper')|list }}|{{ undefined_thing|selectattr('x')|list }}|{{ undefined_thing|sum }}|{{ undefined_thing|lower }}|{{ undefined_thing|replace('a', 'b') }}|{{ undefined_thing|sort }}|{{ undefined_thing|unique|list }}
{{ undefined_thing|float }}
{{ undefined_thing|round }}
{{ undefined_thing|abs }}
{{ undefined_thing|dictsort }}
{{ undefined_thing|indent }}
{{ undefined_thing.a.b|default('x') }}
{{ undefined_thing[1:] }}
{{ undefined_thing in [1] }}|{{ undefined_thing in d }}
{{ undefined_thing in 'abc' }}
{{ undefined_thing not in [1] }}|{{ [undefined_thing]|length }}|{{ [undefined_thing] == [undefined_other] }}
{{ 'x' % undefined_thing }}
{{ range(undefined_thing) }}
{{ 'a'.join(undefined_thing) }}|{{ 'a,b'.split(',')[5] }}
{{ 'a'.replace(undefined_thing, 'b') }}
{{ '' ~ [[1, undefined_thing]] }}
{{ dict(a=undefined_thing) }}|{{ dict(a=undefined_thing).a is defined }}
{{ (1 if no) is defined }}|{{ (1 if no) ~ 'x' }}|{{ [1 if no] }}
{{ (1 if no).foo }}
{% set x = undefined_thing %}{{ x is defined }}|{{ x|default('d') }}
{{ joined.x if joined is defined else 'no' }}|{{ joined.x if joined }}|{{ joined and joined.x }}
"""


NONE = r"""
{{ users[2].nick }}|{{ users[2]['nick'] }}|{{ users[2].get('nick', 'x') }}|{{ users[2].nick is none }}|{{ users[0].nick is none }}
{{ {'a': none}.a }}|{{ {'a': none}['a'] }}|{{ {'a': none}.get('a', 1) }}|{{ {'a': none}.a is defined }}|{{ {'a': none}|attr('a') }}
{{ [none][0] }}|{{ [none]|first }}|{{ [none]|last }}|{{ (none,)[0] }}|{{ [none, 1]|min }}
{{ [none]|first }}|{{ [none]|last }}|{{ [none]|random }}|{{ [none]|join(',') }}|{{ [none]|map('default', 'x')|list }}
{% set ns = namespace(a=none) %}{{ ns.a }}|{{ ns.a is none }}|{% set ns.a = 1 %}{{ ns.a }}|{% set ns.a = none %}{{ ns.a }}
{% set x = none %}{{ x }}|{{ x is none }}|{% for y in [none] %}{{ y }}{{ loop.previtem is defined }}{% endfor %}
{% for y in [none, none] %}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}|{% for y in [1] %}{% set x = none %}{{ x }}{% endfor %}
{% macro m(a, b=none) %}{{ a }}{{ b }}{% endmacro %}{{ m(none) }}{{ m(1, none) }}{{ m(a=none) }}
{{ {none: none}[none] }}|{{ none in {none: 1} }}|{{ none in [none] }}|{{ none == none }}|{{ [none] == [none] }}|{{ {'a': none} == {'a': none} }}|{{ {'a': none} == {'b': none} }}
{{ '%s' % none }}|{{ '%s %s' % (none, 1) }}|{{ '%(a)s' % {'a': none} }}|{{ '{}'.format(none) }}|{{ '{a}'.format(a=none) }}|{{ '{0[a]}'.format({'a': none}) }}
{{ [[none, 1]]|map(attribute=0)|list }}|{{ users|map(attribute='nick')|list }}|{{ users|groupby('on')|list|length }}|{{ [none, none]|unique|list }}
{{ dict(a=none) }}|{{ namespace(a=none).a }}|{{ (none if yes else 1) }}|{{ none or none }}|{{ none and 1 }}|{{ cycler(none, 1).next() }}
{{ tools[0].function.parameters.properties.days.default }}|{{ (messages[0].tool_calls or []) }}|{{ messages[0].tool_calls is defined and messages[0].tool_calls is not none }}
"""


# Inputs that other interpreters refused or rendered otherwise.
REPORTED = [
    "{{ 'Y' if messages|map(attribute='role')|list == ['user','assistant','user'] else 'N' }}",
    "{{ (0 - 1) % 3 }}",
    "{{ true }} {{ 'x' ~ false }}",
    "{{ 'aBC'|capitalize }}",
    "{% if tools is not none and tools|length > 0 %}T{% else %}N{% endif %}",
    "{% for t in tools %}x{% endfor %}y",
    "{{ 'a' ~ nothing ~ 'b' }}",
    "{{ 'Y' if 4 is divisibleby(2) else 'N' }}",
    "{{ 'Y' if 'a' is in ['a'] else 'N' }}",
    "{{ 'Y' if 1.5 is float else 'N' }}",
    "{{ [1,2,3]|select('odd')|list|length }}",
    "{{ 'a,b,c'.rsplit(',', 1)|length }}",
    "{{ '-' * 5 }}",
    "{% with a = 1 %}{{ a }}{% endwith %}",
    "{% raw %}{{ x }}{% endraw %}",
    "{{ ','.join(['a','b']) }}",
    "{{ '%s-%d' % ('a', 3) }}",
    "{{ 'pre-x'.removeprefix('pre-') }}",
    "{{ 'a\\nb'.splitlines()|length }}",
    "{{ dict(a=1).a }}",
    "{{ '<a>'|e }}",
    "{% set x | trim %} a {% endset %}[{{ x }}]",
    "{% for m in messages %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for x in [[1,[2]],3] recursive %}{% if x is iterable %}<{{ loop(x) }}>{% else %}{{ x }}{% endif %}{% endfor %}",
    "{% for c in 'abc' %}{{ c }}.{% endfor %}",
    "{{ 7 // 2 }}",
    "{% for m in messages %}{% if '</think>' in m.content %}[{{ m.content.split('</think>')[-1].lstrip('\\n') }}]{% endif %}{% endfor %}",
    "[{{ '\\n\\n  code'.lstrip('\\n') }}]",
    "[{{ 'code  \\n\\n'.rstrip('\\n') }}]",
    "{{ 'xxaxx'.strip('x') }}",
    "[{{ ' \\n a \\t'.strip() }}]",
    "{% for m in messages %}\r\n<{{ m.role }}>\r\n{{ m.content }}\r\n{% endfor %}\r\n",
    "a\r\n{{ 'b' }}\r\nc",
]

# Texts that are marked as escaped.
MARKED = r"""
{{ 'a'|safe + '<' }}|{{ '<' + 'a'|safe }}|{{ '<'|safe + '<'|safe }}|{{ 'a'|safe ~ '<' }}|{{ 'a'|safe + tools|tojson }}
{{ '<'|e|e }}|{{ '<'|safe|e }}|{{ '<'|e|forceescape }}|{{ '<'|e|string|e }}|{{ '<'|e ~ '<' }}
{{ ['<'|e] }}|{{ [html|safe]|first }}|{{ 'a'|safe == 'a' }}|{{ 'a'|safe in ['a'] }}|{{ 'a'|safe in 'abc' }}|{{ {'a': 1}['a'|safe] }}|{{ 'a'|safe is string }}|{{ 'a'|safe is escaped }}|{{ ('a'|safe)|length }}
{{ ('a<'|safe).upper() + '<' }}|{{ 'a'|safe|upper + '<' }}|{{ ('a<b'|safe)[1:] + '<' }}|{{ ('a b'|safe).split(' ')|join('<') }}|{{ ('a'|safe).startswith('a') }}|{{ (' a '|safe|trim) + '<' }}
{{ 'x'|safe|tojson }}|{{ ['x'|safe]|tojson }}|{{ ('a'|safe) * 2 }}|{{ 'a'|safe < 'b' }}|{{ ['b'|safe, 'a']|sort }}|{{ 'a'|safe|default('x') + '<' }}|{{ ('ab'|safe)|list }}|{% for c in 'ab'|safe %}{{ c }}.{% endfor %}
{% set x = {'a': 1}|tojson|safe %}{{ x }}{{ '<' ~ x }}|{{ x + '<' }}|{% if x %}y{% endif %}|{{ ''|safe or 'empty' }}|{{ x is mapping }}|{{ x is sequence }}|{{ x is iterable }}
{{ 'a'|safe|replace('a', '<') + '<' }}|{{ 'a'|safe|title + '<' }}|{{ 'a'|safe|capitalize + '<' }}|{{ 'a'|safe|lower + '<' }}|{{ ['a'|safe, '<']|join + '<' }}|{{ 'a'|safe|first + '<' }}|{{ '<b>x</b>'|striptags + '<' }}
{{ ' '.join(['<'|e, '<']) }}|{{ '%s' % ('<'|e) }}|{{ '{}'.format('<'|e) }}|{{ ('a'|safe).replace('a', 'b') + '<' }}|{{ 'a'|safe|reverse + '<' }}|{{ 5|e + '<' }}|{{ none|e }}
{{ 'a'|e + 1 }}
{{ 1 + 'a'|e }}
{{ namespace(x='<'|e).x + '<' }}|{% macro m(x) %}{{ x + '<' }}{% endmacro %}{{ m('a'|safe) }}{{ m('a') }}|{{ m('a'|safe) + '<' }}
"""


def one_line_each(text):
    """A line that does not begin a template continues the one before."""
    return [line for line in text.strip("\n").replace("\\\ncontinued", "\\\x00continued").replace("a\nb{%", "a\x00b{%").split("\n")]


def cases():
    for text in (PRINTING, COMPARISONS, SUBSCRIPTS, STRINGS, COLLECTIONS, LOOPS, MACROS, FILTERS, TOJSON, MORE, NONE, MARKED):
        for line in one_line_each(text):
            yield line.replace("\x00", "\n")
    yield from WHITESPACE
    yield from REPORTED


def main():
    env = environment()
    count = 0
    with open(os.path.join(HERE, "battery.jsonl"), "w", encoding="utf-8") as out:
        out.write(json.dumps({"context": CONTEXT}, ensure_ascii=False) + "\n")
        for template in cases():
            try:
                answer = {"want": env.from_string(template).render(**json.loads(json.dumps(CONTEXT)))}
                if " at 0x" in answer["want"]:
                    continue  # the address of an object
            except Exception as error:
                answer = {"error": type(error).__name__}
            out.write(json.dumps({"template": template, **answer}, ensure_ascii=False) + "\n")
            count += 1
    print(count)


main()
