"""Sentences about where a job may run, in both languages, by key. Braces are facts."""

EN = {
    "option.anywhere": "Run on whatever offering fits, where it starts first; none is named.",
    "option.data_location": "jp: nothing of the job leaves Japan.",
    "field.candidates": "may run on",
    "field.data_location": "data",
    "say.data_in_japan": "stays in Japan",
    "say.candidate": "{offering}: {ceiling} at most",
    "say.left_out": "{offering} cannot take it: {code}",
}

JA = {
    "option.anywhere": "条件に合う提供サービスのうち、最も早く開始できるもので実行します(提供サービスは指定しません)。",
    "option.data_location": "jp: ジョブのデータを国内に限ります。",
    "field.candidates": "実行先の候補",
    "field.data_location": "データの所在地",
    "say.data_in_japan": "国内に限定",
    "say.candidate": "{offering}: 上限 {ceiling}",
    "say.left_out": "{offering} では実行できません: {code}",
}
