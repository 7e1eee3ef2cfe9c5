"""The words of remedies.py: (Japanese, English). A test demands an entry for everything that can be done."""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.core.remedies import Do

REMEDIES: Mapping[Do, tuple[str, str]] = {
    Do.FEWER_GPUS: (
        "GPU を {gpus}基以下にして投入し直すと、今すぐ開始できます。",
        "Submitted again with {gpus} GPUs or fewer it would start now.",
    ),
    Do.SHORTER_LIMIT: (
        "実行時間の上限を {limit_s} 以下にして投入し直すと、{ends_by} までに終わるため今すぐ開始できます。",
        "Submitted again with a time limit of {limit_s} or less it would start now, and be over by {ends_by}.",
    ),
    Do.OTHER_OFFERING: (
        "別の提供内容({offerings})に投入し直すと、今すぐ開始できます。",
        "Submitted to another offering ({offerings}) it would start now.",
    ),
    Do.WITHIN_MACHINE: (
        "稼働中の規模({total})に収まるように減らして投入し直してください。",
        "Submit it again for no more than is in service: {total}.",
    ),
    Do.WITHIN_LIMIT: (
        "GPU が {gpus}基以下なら、この上限には達しません。",
        "With {gpus} GPUs or fewer it would be within this limit.",
    ),
    Do.SMALLER: (
        "実行時間の上限を {limit_s} 以下にして投入し直すと、今月の利用枠に収まります。",
        "Submitted again with a time limit of {limit_s} or less it would be within this month's limit.",
    ),
    Do.OWN_ENDS: (
        "自組織のジョブ {job} が終わると(遅くとも {at})、{jobs}件・GPU {gpus}基分が戻り、この上限に収まります。",
        (
            "When your own job {job} ends, by {at} at the latest, {jobs} of your jobs and their {gpus} GPUs are done, "
            "and this is within the limit."
        ),
    ),
    Do.NEXT_MONTH: ("月間利用枠は {at} に新しくなります。", "The month's limit begins anew at {at}."),
    Do.RAISE_LIMIT: (
        "上限({level}、{on})は、組織の管理者を通じて運営者に変更を申請できます。",
        "Our operators may set another limit ({level}, {on}): let your administrator ask.",
    ),
    Do.OTHER_CLASS: (
        "スポットはほかの利用種別のジョブの後に開始します。標準で投入し直すと、それより前に並びます。",
        "Spot work starts after all other. Submitted again as class standard it would go before spot work.",
    ),
    Do.AS_STANDARD: (
        "標準で投入し直すと、予約枠の外で順番を待ちます。",
        "Submitted again as class standard it would take its turn outside of the reserved share.",
    ),
    Do.AS_SPOT: (
        "スポットで投入し直すと、予約枠の空きを(必要になるまで)使えます。",
        "Submitted again as class spot it may use what is kept, until that is needed.",
    ),
    Do.AS_RESERVED: (
        "利用種別を予約にして投入し直すと、自組織の予約枠の空き({own}基)を使えます。",
        "Submitted again as class reserved it may use your own reserved share, of which {own} are idle.",
    ),
    Do.RENEW: (
        "組織の利用資格の届出を更新すると、開始できるようになります。組織の管理者に依頼してください。",
        "It may start once your organisation's declaration of eligibility is renewed: ask your administrator.",
    ),
    Do.ADMINISTRATOR: (
        "組織の管理者または当方の窓口に、このコード({code})を伝えてください。",
        "Tell your administrator or our support this code: {code}.",
    ),
    Do.NO_BEGIN_TIME: (
        "開始日時を指定せずに投入し直すと、すぐに順番待ちに入ります。",
        "Submitted again without a begin time it would take its turn at once.",
    ),
    Do.MORE_TASKS: (
        "アレイの同時実行タスク数({max})を増やして投入し直すと、より多くのタスクが順番待ちに入ります。",
        "Submitted again with more than {max} tasks at a time, more of its array would take their turn.",
    ),
    Do.OTHER_JOBS: (
        "ジョブ {jobs} が開始または終了すると進みます。待つ必要がなければ、依存関係を外して投入し直してください。",
        "It goes on as jobs {jobs} start or end. If it need not wait for them, submit it again without.",
    ),
    Do.INPUT_FILES: (
        "入力ファイルを確かめてください({problem})。直らなければ投入し直してください。",
        "Look at its input files ({problem}), and submit it again if that does not help.",
    ),
    Do.ONLY_TIME: (
        "今すぐ開始できる変更はありません。順番が来ると自動で開始します。",
        "Nothing that you could change would start it now; it starts by itself.",
    ),
}
