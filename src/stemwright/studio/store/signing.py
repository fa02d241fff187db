"""Links that S3 honours for a while: AWS Signature Version 4 in the query of a URL.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALGORITHM: Final = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Signer:
    """A key of a bucket, its secret, and the bucket's region."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    region: str = "auto"

    def presigned(
        self,
        method: str,
        address: str,
        *,
        seconds: int,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        now: dt.datetime | None = None,
    ) -> str:
        """The URL by which anybody may send `method` to an address for some seconds (7 days at most).

        The path of `address` is encoded already. `query` is added to it, and the client must send exactly these
        `headers` (names in lower case): all of it is signed.
        """
        parts = urlsplit(address)
        time = (now or dt.datetime.now(dt.UTC)).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{time[:8]}/{self.region}/s3/aws4_request"
        sent = {"host": parts.netloc, **(headers or {})}
        names = ";".join(sorted(sent))
        asked = {
            **(query or {}),
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{self.access_key_id}/{scope}",
            "X-Amz-Date": time,
            "X-Amz-Expires": str(seconds),
            "X-Amz-SignedHeaders": names,
        }
        text = "&".join(f"{_encoded(name)}={_encoded(asked[name])}" for name in sorted(asked))
        lines = [f"{name}:{sent[name].strip()}" for name in sorted(sent)]
        request = "\n".join([method, parts.path, text, *lines, "", names, "UNSIGNED-PAYLOAD"])
        digest = hashlib.sha256(request.encode()).hexdigest()
        signature = hmac.new(self._key(scope), "\n".join([_ALGORITHM, time, scope, digest]).encode(), hashlib.sha256)
        return f"{address}?{text}&X-Amz-Signature={signature.hexdigest()}"

    def _key(self, scope: str) -> bytes:
        """The secret, bound to a day, a region and a service."""
        key = f"AWS4{self.secret_access_key}".encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return key


def encoded_key(key: str) -> str:
    """An object's key as it stands in a URL's path.

    >>> encoded_key("a b/ü+1.flac")
    'a%20b/%C3%BC%2B1.flac'
    """
    return quote(key, safe="/-_.~")


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")
