from tests.browser.test_storefront import *
async def shot(b, name):
    data = await asyncio.to_thread(b.driver.execute_cdp_cmd, "Page.captureScreenshot", {"captureBeyondViewport": True})
    import base64
    open(f"/tmp/shots/{name}.png","wb").write(base64.b64decode(data["data"]))
import asyncio
async def test_shots(browser, shop):
    for w,h,n in ((360,740,"m"),(1280,900,"d")):
        await browser.resize(w,h)
        await browser.open(f"{shop.url}/demo")
        await browser.find(READY)
        await browser.fill("#domain","adalovelace.com")
        await browser.click("input[name=addon][value=addon-backups-daily]")
        await browser.fill("#coupon","WELCOME10")
        await browser.fill("#email","ada@")
        await browser.fill("#name","Ada")
        await browser.find(".bill")
        await browser.click("#pay")
        await browser.text_of("#error")
        await shot(browser, f"shop-{n}")
    for w,h,n in ((360,740,"m"),(1280,900,"d")):
        await browser.resize(w,h)
        await order(browser, shop, email=f"{n}@example.com")
        await shot(browser, f"pay-{n}")
        await pay(browser, GOOD_CARD)
        await browser.find("body[data-status=active]")
        await shot(browser, f"done-{n}")
    await asyncio.to_thread(browser.driver.execute_cdp_cmd, "Emulation.setEmulatedMedia", {"features":[{"name":"prefers-color-scheme","value":"dark"}]})
    await browser.open(f"{shop.url}/demo"); await browser.find(READY); await shot(browser,"shop-dark")
