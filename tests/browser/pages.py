#!/usr/bin/env python3
"""The landing page and the charts of a live tree, in a real browser.

usage: pages.py CASE FILE [PICTURE]
"""
import os
import signal
import sys
import urllib.parse

from browser import Browser
from flame import same


def wait_ready(browser, file):
    browser.open(file)
    browser.until("return document.documentElement.dataset.ready")


CONTRAST = """
    const light = c => { const x = c / 255; return x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4 };
    const shine = text => { const [r, g, b] = text.match(/[\\d.]+/g).map(Number);
        return 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b) };
    const paper = shine(getComputedStyle(document.body).backgroundColor);
    return Math.min(...[...document.querySelectorAll('.badge, a, .soft, b, th, td')].map(e => {
        const ink = shine(getComputedStyle(e).color);
        return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05) }))"""


def readable(browser):
    """Every word stands out from the paper as WCAG asks it for small text, in both themes."""
    for theme in 'light', 'dark':
        same('theme', browser.run('return document.documentElement.dataset.theme'), theme)
        contrast = browser.run(CONTRAST)
        same(f'{theme}: contrast {contrast}', contrast >= 4.5, True)
        browser.element('#theme').click()


def narrow(browser, file):
    """Nothing is beyond the edge of a small window, nor of a telephone."""
    for width in 600, 390, 360:
        browser.narrow(width)
        wait_ready(browser, file)
        same(f'wide {width}, beyond the edge', browser.run(
            'return [innerWidth, document.documentElement.scrollWidth - innerWidth]'), [width, 0])


def landing(browser, file, picture):
    wait_ready(browser, file)
    same('charts', browser.run("return [...document.querySelectorAll('#charts h3')].map(e => e.textContent)"),
         ['CPU', 'Memory', 'Threads'])
    same('lines', browser.run("return [...document.querySelectorAll('#charts .line')].every(e => e.getAttribute('d').length > 10)"), True)
    same('program', browser.element('h1').text().split()[0], 'split')
    browser.screenshot(picture)
    links = browser.run("return [...document.querySelectorAll('a')].map(e => e.getAttribute('href'))")
    print('\n'.join(urllib.parse.unquote(link) for link in links if not link.startswith('#')))
    readable(browser)
    narrow(browser, file)


def texts(browser, file, picture):
    """Texts by their links: not empty, the same as the file's."""
    for name in 'threads.txt', 'status', 'README':
        wait_ready(browser, file)
        page = '.page/' + name + '.html'
        browser.run("document.querySelector('a[href=\"' + arguments[0] + '\"]').click()", page)
        browser.until("return document.title === arguments[0]", name)
        shown = browser.run("return document.querySelector('pre').textContent")
        with open(os.path.join(os.path.dirname(file), name)) as text:
            same(name, shown.split('\n')[0].split()[:1], text.readline().split()[:1])
        same('it has lines', shown.count('\n') > 5, True)


def follow(browser, file, picture):
    """From the landing page to a flame graph and back, by clicks."""
    wait_ready(browser, file)
    browser.run("document.querySelector('a[href=\"cpu.html\"]').click()")
    browser.until("return document.documentElement.dataset.draws && document.title === 'split cpu'")
    browser.ask('POST', '/back', {})
    browser.until("return document.title === 'split'")
    browser.run("document.querySelector('a[href=\"debug/charts.html\"]').click()")
    browser.until("return document.title === 'split charts' && document.documentElement.dataset.ready")


def live(browser, file, picture):
    """Charts are drawn anew by themselves while the process lives."""
    wait_ready(browser, file)
    titles = browser.run("return [...document.querySelectorAll('#charts h3')].map(e => e.textContent)")
    same('charts', titles, ['CPU', 'Memory', 'Threads', 'Allocation', 'Page faults', 'Context switches',
                            'Records in profiles'])
    before = browser.run("return data.made")
    browser.until("return data.made > arguments[0] && document.getElementById('state').textContent.startsWith('live')", before)
    browser.until("return Math.max(...data.spans[0].charts[0].series[0].values.filter(v => v !== null)) > 0")
    browser.screenshot(picture)
    browser.run("[...document.querySelectorAll('#spans button')][2].click()")
    same('a day', browser.run("return data.spans[chosen].seconds"), 86400)


def live_then_not(browser, file, pid):
    """The process ends while its charts are looked at: the last data stays, and it is said."""
    live(browser, file, 'picture.png')
    os.kill(int(pid), signal.SIGKILL)
    browser.until("return document.getElementById('state').textContent.startsWith('no answer since')")
    same('the charts are there', len(browser.elements('#charts .line')) > 5, True)
    browser.complaints() # that the file is gone


def copy(browser, file, picture):
    """A copy says that it is one, and asks no more."""
    wait_ready(browser, file)
    browser.until("return document.getElementById('state').textContent.startsWith('a copy, made')")
    same('it can be asked again', browser.element('#again').shown(), True)
    same('no frame is left', browser.elements('iframe'), [])
    narrow(browser, file)


def go_index(browser, file, picture):
    browser.open(file)
    rows = browser.run("return [...document.querySelectorAll('tr')].map(r => [...r.cells].map(c => c.textContent))")
    print('\n'.join(' '.join(row[:2]) for row in rows))


def main():
    case, file = sys.argv[1:3]
    with Browser() as browser:
        globals()[case](browser, file, sys.argv[3] if len(sys.argv) > 3 else 'picture.png')
        same('complaints', browser.complaints(), [])


if __name__ == "__main__":
    main()
