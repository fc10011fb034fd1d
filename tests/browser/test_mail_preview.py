"""The preview of a mail in a real browser: nothing in it runs, nothing is fetched, no form is sent."""

import pytest

from tests.factories import EmailTemplateFactory

pytestmark = [pytest.mark.django_db(transaction=True)]

HOSTILE = """<h1 id="there">Hello {{ account.display_name }}</h1>
<script>document.title = "ran"; parent.document.title = "ran"</script>
<img src="/admin/logout/" onerror="document.getElementById('there').textContent = 'ran'">
<img src="https://tracker.invalid/pixel.gif" alt="gone">
<svg onload="document.getElementById('there').textContent = 'ran'"></svg>
<link rel="stylesheet" href="https://tracker.invalid/a.css">
<style>h1 { color: rgb(1, 2, 3); background: url(https://tracker.invalid/b.png) }</style>
<iframe src="https://tracker.invalid/"></iframe>
<a id="away" href="javascript:document.getElementById('there').textContent='ran'">go</a>
<form action="/admin/logout/" method="post"><button id="send">send</button></form>
<meta http-equiv="refresh" content="0; url=https://tracker.invalid/">"""


def test_the_preview_frame_runs_no_script_and_loads_nothing(catalog, page, live_server):
    template = EmailTemplateFactory(html=HOSTILE)
    template.event_types.add(catalog["invoice.posted"])
    # A page of its own: that the browser complains of what it was kept from is as it should be.
    known = page.context.storage_state()
    preview = page.context.browser.new_context(base_url=live_server.url, storage_state=known).new_page()
    asked, answered, refused = [], [], []
    preview.on("request", lambda request: asked.append(request.url))
    preview.on("response", lambda response: answered.append(response.url))
    preview.on("requestfailed", lambda request: refused.append((request.url, request.failure)))
    preview.goto(f"/admin/notifications/emailtemplate/{template.pk}/preview/?width=phone")
    frame = preview.frame_locator("iframe.phone")

    assert frame.locator("#there").inner_text() == "Hello Example Manufacturing Ltd"
    frame.locator("#away").click()
    frame.locator("#send").click()
    preview.wait_for_timeout(300)

    assert frame.locator("#there").inner_text() == "Hello Example Manufacturing Ltd"
    assert frame.locator("h1").evaluate("e => getComputedStyle(e).color") == "rgb(1, 2, 3)"
    assert preview.title().startswith("Preview of")
    assert preview.frame(url="**/preview/html/**").evaluate("self.origin") == "null"
    forbidden = [url for url in asked if "tracker" in url or "logout" in url]
    assert len(forbidden) >= 3
    assert {why for url, why in refused if url in forbidden} == {"csp"}, "not even asked for"
    assert [url for url in answered if url in forbidden or not url.startswith(live_server.url)] == []
    page.goto("/admin/")
    assert page.locator("#user-tools").is_visible(), "still logged in"
