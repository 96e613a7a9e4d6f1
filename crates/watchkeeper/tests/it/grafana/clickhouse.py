"""Runs statements in ClickHouse's engine (chdb) and answers how many rows each gave; for tests only.

It reads a JSON list of statements from standard input and writes a JSON list of numbers, or of errors, to standard
output.
"""

import json
import sys

from chdb import session

engine = session.Session()
answers = []
for statement in json.load(sys.stdin):
    try:
        rows = engine.query(statement, "JSONCompactEachRow").bytes().decode().splitlines()
        answers.append(len(rows))
    except Exception as error:
        answers.append(str(error))
json.dump(answers, sys.stdout)
