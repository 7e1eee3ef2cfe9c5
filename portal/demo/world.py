"""The demo's cast and prices: data, all of it invented, and labelled so wherever a person may see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from accounts.model import CustomerClass, OrgRole, StaffRole
from pricing.model import Component, Offering, OfferingKind

GPU_OFFERING = "gpu-demo"
QPU_OFFERING = "qpu-demo"
GPU_BACKEND = "local"
SLURM_BACKEND = "slurm"
"""Instead of GPU_BACKEND, when the demo is asked for it."""
QPU_BACKEND = "aer"
TAX_RATE_BP = 1_000
GPU_HOUR_S = Decimal(3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody; the address ends in .example, which nobody can own."""

    key: str
    name: str
    email: str
    role: OrgRole | None = None
    staff_role: StaffRole | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """A customer with its people and what lies in its wallet, in yen."""

    slug: str
    name: str
    customer_class: CustomerClass
    people: Sequence[Person]
    grant_yen: int = 0
    prepaid_yen: int = 0
    credit_yen: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """Yen without tax for `per` units of a component: on the market, on our list, and by class of customer."""

    offering_id: str
    component: Component
    per: Decimal
    market_yen: str
    list_yen: str
    price_yen: Mapping[CustomerClass, str]
    market_source: str


STARTUP = Organisation(
    slug="hikari-keisan",
    name="株式会社ひかり計算（架空）",
    customer_class=CustomerClass.STARTUP,
    people=(
        Person(key="owner", name="佐藤 花子", email="hanako.sato@hikari.example", role=OrgRole.OWNER),
        Person(key="engineer", name="中村 健", email="ken.nakamura@hikari.example", role=OrgRole.MEMBER),
    ),
    grant_yen=300,
    prepaid_yen=300,
    credit_yen=1_000,
)
UNIVERSITY = Organisation(
    slug="horai-university",
    name="蓬莱工科大学 量子情報研究室（架空）",
    customer_class=CustomerClass.UNIVERSITY,
    people=(
        Person(key="professor", name="山本 誠", email="makoto.yamamoto@horai.example", role=OrgRole.OWNER),
        Person(key="student", name="小林 さくら", email="sakura.kobayashi@horai.example", role=OrgRole.MEMBER),
    ),
    grant_yen=200_000,
)
SME = Organisation(
    slug="minato-seimitsu",
    name="みなと精密工業株式会社（架空）",
    customer_class=CustomerClass.SME,
    people=(Person(key="manager", name="伊藤 実", email="minoru.ito@minato.example", role=OrgRole.OWNER),),
    prepaid_yen=50_000,
)
ORGANISATIONS = (STARTUP, UNIVERSITY, SME)

OPERATOR = Person(key="operator", name="高橋 円", email="operator@kyoyo.example", staff_role=StaffRole.OPERATOR)
APPROVER = Person(key="approver", name="渡辺 均", email="approver@kyoyo.example", staff_role=StaffRole.OPERATOR)
"""The second person, without whom no price is published."""
OFFICER = Person(key="officer", name="田中 正", email="officer@agency.example", staff_role=StaffRole.OFFICER)
STAFF = (OPERATOR, APPROVER, OFFICER)

OFFERINGS = (
    Offering(
        id=GPU_OFFERING,
        backend=GPU_BACKEND,
        kind=OfferingKind.GPU,
        resource_type="gpu:demo",
        title_ja="デモ用 GPU（このマシンの CPU で代用）",
        title_en="Demo GPU (played by this machine's CPU)",
        max_gpus=4,
        cpus_per_gpu=2,
        memory_mb_per_gpu=4_096,
        max_walltime_s=24 * 3600,
        hardware={"gpu_memory_gb": 0, "interconnect": "loopback"},
        software=("Python", "PyTorch", "scikit-learn"),
        site="このマシン / this machine",
    ),
    Offering(
        id=QPU_OFFERING,
        backend=QPU_BACKEND,
        kind=OfferingKind.QUANTUM,
        resource_type="qpu:demo",
        title_ja="デモ用量子シミュレータ（Qiskit Aer）",
        title_en="Demo quantum simulator (Qiskit Aer)",
        max_walltime_s=600,
        max_shots=100_000,
        qpu_base_us=500_000,
        qpu_per_kshot_us=250_000,
        max_session_s=600,
        max_session_idle_s=120,
        hardware={"qubits": 12, "simulated": True, "noise": "none"},
        software=("Qiskit Aer",),
        site="このマシン / this machine",
    ),
)


def offerings(gpu_backend: str) -> Sequence[Offering]:
    """What is sold, with the GPUs where they run this time."""
    gpu, qpu = OFFERINGS
    if gpu_backend == SLURM_BACKEND:
        gpu = replace(
            gpu,
            backend=SLURM_BACKEND,
            title_ja="デモ用 GPU（このマシン上の実際の Slurm クラスター）",
            title_en="Demo GPU (a real Slurm cluster on this machine)",
        )
    return gpu, qpu


NU_PER_HOUR = {"gpu:demo": 1.0, "qpu:demo": 50.0}
"""The exchange table of the fair share: normalised units per hour of a resource."""

_SOURCE = "DEMO DATA / デモ用の架空の価格: 3 cloud providers' public on-demand list prices, mean"
TARIFFS = (
    Tariff(
        offering_id=GPU_OFFERING,
        component=Component.GPU_S,
        per=GPU_HOUR_S,
        market_yen="980",
        list_yen="720",
        price_yen={CustomerClass.STARTUP: "480", CustomerClass.UNIVERSITY: "420", CustomerClass.SME: "560"},
        market_source=f"{_SOURCE}, 1 GPU-hour",
    ),
    Tariff(
        offering_id=QPU_OFFERING,
        component=Component.QPU_S,
        per=Decimal(1),
        market_yen="240",
        list_yen="160",
        price_yen={CustomerClass.STARTUP: "90", CustomerClass.UNIVERSITY: "80", CustomerClass.SME: "120"},
        market_source=f"{_SOURCE}, 1 QPU-second",
    ),
    Tariff(
        offering_id=QPU_OFFERING,
        component=Component.SHOT,
        per=Decimal(1000),
        market_yen="45",
        list_yen="30",
        price_yen={CustomerClass.STARTUP: "15", CustomerClass.UNIVERSITY: "12", CustomerClass.SME: "20"},
        market_source=f"{_SOURCE}, 1,000 shots",
    ),
    Tariff(
        offering_id=QPU_OFFERING,
        component=Component.SESSION_S,
        per=Decimal(60),
        market_yen="90",
        list_yen="60",
        price_yen={CustomerClass.STARTUP: "30", CustomerClass.UNIVERSITY: "25", CustomerClass.SME: "40"},
        market_source=f"{_SOURCE}, 1 minute of a session",
    ),
)
