"""`kyoyod secrets rotate`: everything that is under an older key is encrypted with the newest."""

from __future__ import annotations

from accounts import service as accounts
from infra.clock import new_secret
from infra.db.connection import transaction
from portal.bootstrap import DatabaseUrls, current_pool, load_sealer
from portal.settings import Settings, SettingsWrong


async def rotate(settings: Settings, urls: DatabaseUrls) -> int:
    """How many. A run that was cut off is taken up by the next. SettingsWrong, CannotUnseal: a key is missing."""
    sealer = load_sealer(settings)
    if sealer is None:
        raise SettingsWrong("KYOYO_SECRETS_KEY_FILE is not set: there are no secrets here")
    done = 0
    async with current_pool(urls.worker, size=1) as pool:
        while True:
            async with transaction(pool) as conn:
                renewed = await accounts.renew_encryption(conn, sealer, fresh=new_secret)
            if not renewed:
                return done
            done += renewed
