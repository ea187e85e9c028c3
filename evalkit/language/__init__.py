"""Language: fixed sentences for verdicts and findings, and the statement that carries them.

How words are made, in this order and no other:

1. `verdicts/rules.py`: evidence on one component and outcome, in typed fields; a verdict follows by fixed rules.
2. `disclosure/publish.py`: evidence and tables in, the same types out, without what rests on too few people. A sentence
   from below (a design's reason, a check's words) holds its numbers of people tied to what follows them
   (`show/words.py`: `of_people`), so that they are withheld or rounded as `Count`s, whatever the noun is.
3. `language/statement.py`: one `Statement` for each component and outcome, made once from what is left: the finding in
   short (in three pieces, of which the middle one leads to where it is worked out) and in full, what it rests on, what
   may and may not be said, what would change our mind and how much more data that is, warnings, checks.
4. `evaluation/evidence.py`, `reporting/`, `cli/`: the sentence of the table of verdicts, page one, sections, Word and
   terminal are laid out from statements. Where they group components of which the same may be said, they compare
   fields; no regular expression reads prose of ours (`tests/contract/test_prose.py`).
5. `reporting/blocks.py`: sections are typed blocks, and their HTML; `formats.py` makes page, PDF and Word of them.

`templates.py` holds every fixed sentence; `findings.py` makes the finding in full and in short.
"""
