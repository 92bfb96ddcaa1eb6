#!/usr/bin/env python3
"""What a person does with a flame graph, done in a real browser.

usage: flame.py CASE FILE [ARGUMENT...] [-- CASE FILE...]      without blanks in any of them

A case is a function below, and leaves its screenshot as CASE.png. All of one call share a browser.
"""
import math
import pathlib
import sys

from browser import DOWN, ENTER, ESCAPE, LEFT, RIGHT, UP, Browser

LABELS = "[...document.querySelectorAll('#labels div')].filter(e => !e.hidden)"


def same(what, is_, should):
    if is_ != should:
        sys.exit(f'{what}\nis:     {is_!r}\nshould: {should!r}')


def near(what, is_, should, off=2):
    if not math.isclose(is_, should, abs_tol=off):
        sys.exit(f'{what}\nis:     {is_}\nshould: {should}')


class Page:
    """A flame graph in a browser."""

    def __init__(self, browser, file):
        self.browser = browser
        browser.open(file)
        browser.until("return document.documentElement.dataset.ready")

    def drawn(self, act):
        """Does something, and waits for the picture that comes of all of it."""
        count = "return Number(document.documentElement.dataset.draws)"
        before = self.browser.run(count)
        act()
        self.browser.until(f"{count} > arguments[0] && !drawAsked", before)

    def frame(self, text):
        """The widest frame with this text: an element."""
        return self.browser.run(f"""return {LABELS}.filter(e => e.textContent === arguments[0])
            .sort((a, b) => b.offsetWidth - a.offsetWidth)[0]""", text)

    def box(self, text):
        box = self.browser.run(f"""const e = {LABELS}.filter(e => e.textContent === arguments[0])
            .sort((a, b) => b.offsetWidth - a.offsetWidth)[0];
            return e && {{x: e.offsetLeft, y: e.offsetTop, width: e.getBoundingClientRect().width}}""", text)
        if not box:
            sys.exit(f'no frame says {text}; there are: ' + ' '.join(self.texts()))
        return box

    def texts(self):
        return self.browser.run(f'return {LABELS}.map(e => e.textContent)')

    def click(self, text):
        number = self.frame(text)
        if not number:
            sys.exit(f'no frame says {text}')
        self.drawn(lambda: self.browser.ask('POST', f'/element/{list(number.values())[0]}/click', {}))

    def text(self, css):
        return self.browser.element(css).text()

    def width(self):
        return self.browser.run("return document.getElementById('space').clientWidth")

    def pixel(self, x, y):
        """Colour of the bars at a place of the whole picture, as [red, green, blue]."""
        return self.browser.run("""const c = document.getElementById('bars'), d = devicePixelRatio;
            const pen = new OffscreenCanvas(1, 1).getContext('2d');
            pen.drawImage(c, -arguments[0] * d, -(arguments[1] - c.offsetTop) * d);
            return [...pen.getImageData(0, 0, 1, 1).data.slice(0, 3)]""", x, y)

    def done(self):
        same('complaints', self.browser.complaints(), [])


def click(page, picture):
    """cpu: main > handle > cart::Cart::add, which has 70 %."""
    whole = page.width()
    near('all', page.box('all')['width'], whole)
    near('its width', page.box('cart::Cart::add')['width'], 0.7 * whole)
    page.browser.screenshot(picture)
    page.click('cart::Cart::add')
    near('its width, clicked', page.box('cart::Cart::add')['width'], whole)
    told = page.text('#frame')
    for piece in ('cart::Cart::add [libcart.so]', '722 ms', '70.00 % of all', '70.00 % of its caller'):
        same(f'"{piece}" in "{told}"', piece in told, True)
    same('its callers are there', [text for text in page.texts() if text in ('main', 'handle')], ['handle', 'main'])
    page.drawn(lambda: page.browser.element('#reset').click())
    near('its width afterwards', page.box('cart::Cart::add')['width'], 0.7 * whole)


def search(page, picture):
    query = page.browser.element('#query')
    page.drawn(lambda: query.type('CART'))
    same('found', page.text('#found'), '70.00 % of all, 1 function')
    same('marked', page.browser.run(f"return {LABELS}.filter(e => e.className === 'match').map(e => e.textContent)"),
         ['cart::Cart::add'])
    page.browser.screenshot(picture)
    query.clear()
    page.browser.element('#regex').click()
    page.drawn(lambda: query.type('^(main|handle)$'))
    same('one inside the other counts once', page.text('#found'), '100.00 % of all, 2 functions')
    page.drawn(lambda: query.type('('))
    same('no pattern', page.text('#found'), 'not a regular expression')
    page.drawn(lambda: page.browser.keys(ESCAPE))
    same('Escape clears', [page.browser.run("return document.getElementById('query').value"), page.text('#found')], ['', ''])


def column(page, picture):
    """heap: main > handle > add > alloc; alloc_objects 37, of them 30 through add; inuse_space 1500."""
    whole = page.width()
    same('columns', page.text('#column').split(), ['alloc_objects', 'alloc_space', 'inuse_objects', 'inuse_space'])
    near('add in inuse_space', page.box('cart::Cart::add')['width'], whole * 1000 / 1500)
    page.drawn(lambda: page.browser.element('#column').type('alloc_objects'))
    near('add in alloc_objects', page.box('cart::Cart::add')['width'], whole * 30 / 37)
    same('told', page.text('#about').split(' · ')[0], '37')
    page.drawn(lambda: page.browser.element('#functions').click())
    same('functions by their own', [row.split('\n')[-1].split(' ')[-1] for row in page.text('#rows').split('\n')][:1], ['alloc'])
    same('its share', page.text('#rows').split('\n')[0].startswith('100.00 % 100.00 %'), True)
    page.browser.screenshot(picture)


def dark(page, picture):
    def paper():
        return page.browser.run("return getComputedStyle(document.body).backgroundColor")
    bright = page.pixel(page.box('main')['x'] + 200, page.box('main')['y'] + 2)
    same('light', [paper(), bright], ['rgb(255, 255, 255)', [0xf9, 0xc3, 0x7f]])
    page.drawn(lambda: page.browser.element('#theme').click())
    same('dark', [paper(), page.pixel(200, page.box('main')['y'] + 2)], ['rgb(22, 25, 29)', [0x83, 0x5a, 0x20]])
    same('said', page.browser.element('#theme').attribute('aria-pressed'), 'true')
    page.browser.screenshot(picture)


def follows_the_system(page, picture):
    same('theme', page.browser.run('return document.documentElement.dataset.theme'), 'dark')
    page.drawn(lambda: page.browser.element('#theme').click())
    same('theme', page.browser.run('return document.documentElement.dataset.theme'), 'light')


def keyboard(page, picture):
    def chosen():
        return page.browser.run("""const e = document.getElementById(
            document.getElementById('graph').getAttribute('aria-activedescendant'));
            return e && e.getAttribute('aria-label')""")
    page.browser.run("document.getElementById('graph').focus()")
    for keys, wanted in (([DOWN], 'all, 100.00 %'), ([DOWN], 'main, 100.00 %'), ([DOWN, DOWN], 'cart::Cart::add, 66.67 %'),
                         ([LEFT], 'alloc, 33.33 %'), ([RIGHT], 'cart::Cart::add, 66.67 %'), ([UP], 'handle, 100.00 %'),
                         ([DOWN, ENTER], 'cart::Cart::add, 66.67 %')):
        page.drawn(lambda keys=keys: page.browser.keys(*keys))
        same(f'chosen by {keys!r}', chosen(), wanted)
    near('Enter zooms', page.box('cart::Cart::add')['width'], page.width())
    page.drawn(lambda: page.browser.keys(ESCAPE))
    near('Escape goes back', page.box('cart::Cart::add')['width'], page.width() * 2 / 3)
    page.drawn(lambda: page.browser.keys('/', 'm', 'a', 'i', 'n', ENTER))
    same('slash searches', page.text('#found'), '100.00 % of all, 1 function')
    same('Enter goes to the widest', chosen(), 'main, 100.00 %')


def turned(page, picture):
    same('callers on top', page.box('main')['y'] < page.box('handle')['y'], True)
    page.drawn(lambda: page.browser.element('#flame').click())
    same('callers at the bottom', page.box('main')['y'] > page.box('handle')['y'], True)
    page.browser.screenshot(picture)
    near('behind its neighbour, by name', page.box('cart::Cart::add')['x'], page.width() / 3)
    page.drawn(lambda: page.browser.element('#by-size').click())
    near('before it, by size', page.box('cart::Cart::add')['x'], 0)


def markup(page, picture):
    """Names that are HTML, JavaScript, or no text at all."""
    same('nothing of them ran', page.browser.run('return window.broken'), None)
    same('nothing of them became an element', page.browser.run("return document.querySelectorAll('img, iframe, b:not(#tip b)').length"), 0)
    names = page.browser.run("return data.frames.filter((_, i) => i % 2 === 0)")
    for name in ('</script><script>window.broken = 1</script>', '<img src=x onerror="window.broken = 2">',
                 "'\"`${window.broken = 3}\\", '<!-- <script>', 'line�separator', 'bad���utf8', 'new?line'):
        same(f'{name!r} in {names!r}', name in names, True)
    page.drawn(lambda: page.browser.element('#query').type('<img'))
    same('found', page.text('#found'), '10.00 % of all, 1 function')
    page.drawn(lambda: page.browser.keys(ENTER))
    same('told', '<img src=x onerror="window.broken = 2">' in page.text('#frame'), True)
    same('still nothing ran', page.browser.run('return window.broken'), None)
    page.browser.screenshot(picture)


def large(page, picture):
    """50,000 distinct stacks of 30 frames."""
    timed = page.browser.run("""const times = {nodes: tree.count};
        const time = (name, act) => { const t = performance.now(); act(); times[name] = performance.now() - t };
        const deep = Array.from({length: 1000}, (_, i) => i * Math.floor(tree.count / 1000)).filter(n => tree.level[n] === 5)[0];
        for (const m of performance.getEntriesByType('measure')) times[m.name] = times[m.name] || m.duration;
        time('zoom', () => zoom(deep)); time('back', () => zoom(0));
        time('search', () => { byId('query').value = '7'; search(); draw() });
        time('column', () => { chooseColumn(0); draw() });
        time('by size', () => { order(true); draw() });
        time('functions', () => byId('functions').click());
        return times""")
    print('# ' + ', '.join(f'{name} {value:.0f}{"" if name == "nodes" else " ms"}' for name, value in timed.items()))
    same('all stacks are there', page.browser.run("return [tree.self[0].reduce((a, b) => a + b), data.left_out]"), [50000, 0])
    same('levels', page.browser.run('return tree.deepest'), 30)
    same('the widest have their names', [name in page.texts() for name in ('function_410000', 'function_410001', 'function_410002')],
         [True] * 3)
    page.drawn(lambda: page.browser.run('zoom(Array.from(tree.level).lastIndexOf(30))'))
    same('the narrowest has its callers when it is wide', page.browser.run(f"return new Set({LABELS}.map(e => e.style.top)).size") >= 15, True)
    page.browser.screenshot(picture)


def found(page, picture, name, least):
    """The frame of a live profile: found by its text, at least so wide, clicked, searched."""
    whole = page.width()
    share = page.box(name)['width'] / whole
    same(f'{name} has {share:.2f} of the width', share >= float(least), True)
    page.click(name)
    near('clicked', page.box(name)['width'], whole)
    page.drawn(lambda: page.browser.element('#query').type(name))
    share = float(page.text('#found').split(' ')[0]) / 100
    same(f'{name} has {share} of all', share >= float(least), True)
    page.browser.screenshot(picture)


def picture(browser, file, name, least):
    """An SVG: frames with a title, as wide as they should be, and valid for a strict reader."""
    browser.open(file)
    width = browser.run("""const g = [...document.querySelectorAll('g')].find(g =>
        g.querySelector('title') && g.querySelector('title').textContent.startsWith(arguments[0]));
        return g && g.querySelector('rect').getBoundingClientRect().width / 1176""", name)
    same(f'{name} has {width} of the width', width is not None and width >= float(least), True)
    same('errors', browser.run("return document.querySelectorAll('parsererror').length"), 0)


def dark_picture(browser, file):
    """On a dark system an SVG is dark to the window's edges."""
    browser.open(file)
    same('paper', browser.run('return getComputedStyle(document.documentElement).backgroundColor'),
         browser.run("return getComputedStyle(document.querySelector('.paper')).fill"))
    same('dark', browser.run("return getComputedStyle(document.querySelector('.paper')).fill"),
         'rgb(22, 25, 29)')


def run_case(browser, case, file, *arguments):
    shot = f'{case}.png'
    if case.endswith('picture'):
        globals()[case](browser, file, *arguments)
        browser.screenshot(shot)
    else:
        page = Page(browser, file)
        globals()[case](page, shot, *arguments)
        page.done()
    if pathlib.Path(shot).exists():
        same('a screenshot is a picture', pathlib.Path(shot).read_bytes()[:4], b'\x89PNG')


def main():
    cases = ' '.join(sys.argv[1:]).split(' -- ')
    with Browser(dark=cases[0].startswith('follows_the_system')) as browser:
        for case in cases:
            run_case(browser, *case.split(' '))


if __name__ == '__main__':
    main()
