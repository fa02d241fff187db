"""The group `storage` of the settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr, model_validator

from stemwright.setting_values import Address, Alias, Group, InSeconds, Objects, OptionalWord, Word


class ObjectStorage(Group):
    """Where recordings, stems and results are kept."""

    url: Annotated[Objects, Alias("R2_BUCKET_NAME", form="s3://{}")] = Field(
        default=None,
        description="Where recordings, stems and results are kept, for the studio, its doors and its workers: "
        "`s3://bucket/prefix` or `file:///folder`, where nothing else is; none: the folder `objects` in `data`.",
    )
    endpoint: Annotated[
        Address,
        Alias("BUCKET_ENDPOINT_URL"),
        Alias("R2_ACCOUNT_ID", form="https://{}.r2.cloudflarestorage.com"),
    ] = Field(default=None, description="The address of the bucket's S3 API where that is not Amazon's, as of R2.")
    region: Word = Field(default="auto", description="The region of the bucket; Amazon's have names.")
    access_key_id: Annotated[OptionalWord, Alias("R2_ACCESS_KEY_ID"), Alias("BUCKET_ACCESS_KEY_ID")] = Field(
        default=None,
        description="The key of the bucket; none: what Amazon's own variables, or the machine's role, give.",
    )
    secret_access_key: Annotated[SecretStr | None, Alias("R2_SECRET_ACCESS_KEY"), Alias("BUCKET_SECRET_ACCESS_KEY")] = (
        Field(default=None, description="The secret of that key.")
    )
    public_url: Annotated[Address, Alias("R2_PUBLIC_URL")] = Field(
        default=None,
        description="The address of a bucket that everybody may read: links are below it, and never run out.",
    )
    redirect: bool = Field(
        default=False,
        description="`true`: the API answers requests for stems with a link to the bucket (307), else with the stems.",
    )
    link_seconds: InSeconds = Field(
        default=300.0, ge=1, le=604_800, description="Seconds that such a link to the bucket is good for."
    )

    @model_validator(mode="after")
    def _whole(self) -> ObjectStorage:
        """Refuse parts of a bucket that make no whole, so that nobody believes his songs to be where they are not."""
        bucket = self.url is not None and self.url.startswith("s3://")
        if not bucket and (self.endpoint or self.access_key_id or self.secret_access_key):
            raise ValueError(
                "an endpoint or keys of a bucket are set, and no bucket: name it by storage.url, such as "
                "s3://bucket/prefix (STEMWRIGHT_STORAGE_URL or R2_BUCKET_NAME), or take them away"
            )
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("give storage.access_key_id and storage.secret_access_key together")
        if bucket and self.endpoint is None and self.region == "auto":
            raise ValueError(
                "give storage.region, such as eu-central-1, for a bucket of Amazon's, or storage.endpoint for another"
            )
        return self
