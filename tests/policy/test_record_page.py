"""The page about the record, in a browser."""

from tests.policy.test_record import POLICY, recorded  # noqa: F401 - what its fixture asks for, and it


def test_the_page_shows_them(recorded, browser):  # noqa: F811
    page = browser.new_page()
    try:
        page.goto(f"{recorded.url}/concept_guards/policy/record")
        page.get_by_text("2 decisions; the record is whole").wait_for()
        assert page.locator("#days tr").count() == 2 and page.locator("#last tr").count() == 3
        page.get_by_role("button", name="Decide again").last.click()
        page.get_by_text("Under the same policy: refused (text").wait_for()
    finally:
        page.close()
