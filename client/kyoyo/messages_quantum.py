"""Sentences about quantum computers in both languages, by key. Braces are facts."""

EN = {
    "help.qpu": "Quantum computers and circuits.",
    "help.qpu.ls": "List quantum devices with their limits and prices.",
    "help.qpu.submit": "Submit an OpenQASM 3 file.",
    "help.qpu.result": "Show the measured counts as a histogram.",
    "option.circuit": "OpenQASM 3 file.",
    "option.shots": "How often to run the circuit.",
    "option.device": "Quantum offering to run on; may be left out when there is only one.",
    "say.no_counts": "The job left no counts; its result is:",
    "say.shots": "{shots} shots",
    "say.run_ignores": "backend.run ignores {options}; kyoyo.qiskit.SamplerV2 has options that are honoured",
    "say.local_mode": "qiskit_ibm_runtime runs in its local mode here: of its options only shots and a "
    "simulator's seed have an effect, and its Session and Batch never reach Kyoyo. kyoyo.qiskit has SamplerV2, "
    "EstimatorV2, Session and Batch of its own",
    "wrong.unknown_backend": "there is no quantum device {name}; there are: {known}",
    "wrong.no_backend": "no device to run on ({given}): give a backend, a Session or a Batch as mode, or other filters",
    "wrong.too_many_qubits": "the circuit needs {needed} qubits, and {backend} has {available}",
    "wrong.shots": "shots must be a whole number from 1 to {limit} on {backend}: {shots}",
    "wrong.precision": "precision must be above 0, and at least {limit} on {backend}: {precision}",
    "wrong.session_over": "session {session} is over ({state}); open a new one",
    "wrong.document_too_large": "what would be sent has {size} bytes, at most {limit}; send fewer or smaller "
    "circuits at a time, or parameters instead of copies",
    "wrong.not_supported": "{what} is not supported; there is: {instead}",
    "wrong.no_pubs": "there is nothing to run: give at least one circuit",
    "wrong.not_finite": "a parameter or a coefficient is not a finite number",
    "wrong.not_a_circuit": "{path} is neither OpenQASM (UTF-8 text) nor a QPY file",
}

JA = {
    "help.qpu": "量子コンピュータと量子回路。",
    "help.qpu.ls": "量子デバイスの制限と料金を一覧表示します。",
    "help.qpu.submit": "OpenQASM 3 のファイルを投入します。",
    "help.qpu.result": "測定結果の度数をヒストグラムで表示します。",
    "option.circuit": "OpenQASM 3 のファイル。",
    "option.shots": "回路を実行する回数（ショット数）。",
    "option.device": "利用する量子デバイス。一つだけなら省略できます。",
    "say.no_counts": "度数がありません。ジョブの結果は次のとおりです。",
    "say.shots": "{shots} ショット",
    "say.run_ignores": "backend.run は {options} を無視します。有効なオプションは kyoyo.qiskit.SamplerV2 にあります",
    "say.local_mode": "ここでは qiskit_ibm_runtime はローカルモードで動きます。有効なオプションはショット数とシ"
    "ミュレータのシードだけで、Session と Batch は Kyoyo に届きません。kyoyo.qiskit の SamplerV2、EstimatorV2、Sess"
    "ion、Batch を使ってください",
    "wrong.unknown_backend": "量子デバイス {name} はありません。利用できるもの: {known}",
    "wrong.no_backend": "実行するデバイスがありません（{given}）。mode に backend、Session、Batch のどれかを渡"
    "すか、条件を変えてください",
    "wrong.too_many_qubits": "回路には {needed} 量子ビットが必要ですが、{backend} は {available} 量子ビットです",
    "wrong.shots": "{backend} のショット数は 1 から {limit} までの整数です: {shots}",
    "wrong.precision": "精度は 0 より大きく、{backend} では {limit} 以上にしてください: {precision}",
    "wrong.session_over": "セッション {session} は終了しています（{state}）。新しく開いてください",
    "wrong.document_too_large": "送信するデータが {size} バイトあります（上限 {limit}）。回路を分けるか小さくす"
    "るか、複製の代わりにパラメータを使ってください",
    "wrong.not_supported": "{what} には対応していません。使えるもの: {instead}",
    "wrong.no_pubs": "実行するものがありません。回路を 1 つ以上渡してください",
    "wrong.not_finite": "パラメータまたは係数に有限でない数があります",
    "wrong.not_a_circuit": "{path} は OpenQASM（UTF-8 テキスト）でも QPY ファイルでもありません",
}
