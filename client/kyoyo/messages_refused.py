"""Sentences about refusals and about functions that run as jobs, in both languages, by key. Braces are facts.

`remedy.CODE` stands in place of the portal's remedy, which speaks of the API's fields and not of options.
"""

EN = {
    "remedy.cost-cap-too-small": "Raise {limit}, or ask for fewer shots or less time.",
    "remedy.cost-cap-not-positive": "Set {limit} above 0, or leave it out.",
    "remedy.missing-script": "Put the program into the file that is submitted.",
    "option.max_cost_estimate": "The limit in yen, with tax, that the job will have; it only ever lowers the cap.",
    "say.estimator": "[{number}] Estimator: {shots} shots for each Pauli string of each element "
    "(standard error {precision} or less)",
    "wrong.empty_circuit": "{path} is empty; put the circuit into it",
    "wrong.picture": "{path}: only the form plot is a picture; leave out --format {form}, or give a file that does "
    "not end in .svg or .png",
}

JA = {
    "remedy.cost-cap-too-small": "{limit} を引き上げるか、ショット数または時間を減らしてください。",
    "remedy.cost-cap-not-positive": "{limit} は正の額にするか、省略してください。",
    "remedy.missing-script": "投入するファイルにプログラムの本文を入れてください。",
    "option.max_cost_estimate": "投入時の上限額（円、税込）。打ち切りまでの時間を短くするだけで、延ばしません。",
    "say.estimator": "[{number}] Estimator: 要素の Pauli 文字列ごとに {shots} ショット（標準誤差 {precision} 以下）",
    "wrong.empty_circuit": "{path} は空です。回路を書き込んでください",
    "wrong.picture": "{path}: 画像になるのは plot だけです。--format {form} を省略するか、"
    ".svg・.png で終わらない名前にしてください",
}
