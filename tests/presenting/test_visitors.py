"""Which kind of device asks, by what browsers send."""

from __future__ import annotations

import pytest

from upsell.presenting.visitors import device_class

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Version/18.1 Mobile/15E148 Safari/604.1"
)
IPAD = "Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
IPAD_AS_MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.1 Safari/605.1.15"
ANDROID = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/131.0.0.0 {}Safari/537.36"
EDGE = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0 Edg/131.0"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"
FIREFOX_TABLET = "Mozilla/5.0 (Android 14; Tablet; rv:132.0) Gecko/132.0 Firefox/132.0"


@pytest.mark.parametrize(
    ("mobile", "agent", "device"),
    [
        pytest.param("", IPHONE, "phone", id="iPhone"),
        pytest.param("?1", ANDROID.format("Mobile "), "phone", id="Android phone"),
        pytest.param("", ANDROID.format("Mobile "), "phone", id="without hints"),
        pytest.param("?0", ANDROID.format(""), "tablet", id="Android tablet"),
        pytest.param("", FIREFOX_TABLET, "tablet", id="Firefox on a tablet"),
        pytest.param("", IPAD, "tablet", id="an old iPad"),
        pytest.param("", IPAD_AS_MAC, "desktop", id="a new iPad says it is a Macintosh"),
        pytest.param("?0", EDGE, "desktop", id="Edge"),
        pytest.param("", FIREFOX, "desktop", id="Linux"),
        pytest.param("?1", "", "phone", id="the hint alone"),
        pytest.param("?0", "", "", id="not a phone, and nothing else"),
        pytest.param("", "curl/8.5.0", "", id="curl"),
        pytest.param("", "", "", id="nothing"),
    ],
)
def test_a_device(mobile, agent, device):
    assert device_class(mobile=mobile, agent=agent) == device
