"""What staff hand in as a file, or as the text of one that they looked at."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from django.utils.translation import gettext as _

MOST_BYTES = 2_000_000


def text_of(request: HttpRequest, *, wanted: str, saved_as: str, most: int = MOST_BYTES) -> str:
    """Return the text that was handed in.

    Args:
        wanted: What is said where there is none.
        saved_as: How a file is to be saved that is not written in UTF-8.
        most: Bytes of a file.

    Raises:
        ValidationError: There is none, it is too large, or it is not written in UTF-8.
    """
    upload = request.FILES.get("file")
    if not isinstance(upload, UploadedFile):
        text: str = request.POST.get("text", "")
        if not text.strip():
            raise ValidationError(wanted)
        return text
    if (upload.size or 0) > most:
        size = (upload.size or 0) / 1_000_000
        told = _("The file has %(size)s MB, and at most 2 MB are read.")
        raise ValidationError(told % {"size": f"{size:.1f}"})
    try:
        raw: bytes = upload.read()
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        told = _("“%(name)s” is not written in UTF-8: save it as %(how)s.")
        raise ValidationError(told % {"name": upload.name, "how": saved_as}) from error
