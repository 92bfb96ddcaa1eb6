"""A headless Chromium, driven by chromedriver on 127.0.0.1 (W3C WebDriver): the little that tests need.

    with Browser() as browser:
        browser.open('/tmp/cpu.html')
        browser.element('#query').type('seventy\\n')
        browser.screenshot('/tmp/found.png')

Nothing waits longer than PATIENCE. The browser sees no network but this machine's own.
"""
import base64
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

PATIENCE = 120 # seconds
ELEMENT = 'element-6066-11e4-a52e-4f735466cecf'
FLAGS = [
    '--headless', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--disable-default-apps', '--disable-extensions', '--disable-dev-shm-usage',
    '--metrics-recording-only', '--no-default-browser-check', '--mute-audio', '--hide-scrollbars',
    '--force-color-profile=srgb', '--host-resolver-rules=MAP * ~NOTFOUND',
] + (['--no-sandbox'] if os.geteuid() == 0 else [])


class Element:
    def __init__(self, browser, number):
        self.browser, self.path = browser, f'/element/{number}'

    def text(self):
        return self.browser.ask('GET', f'{self.path}/text')

    def click(self):
        self.browser.ask('POST', f'{self.path}/click', {})

    def type(self, text):
        self.browser.ask('POST', f'{self.path}/value', {'text': text})

    def clear(self):
        self.browser.ask('POST', f'{self.path}/clear', {})

    def attribute(self, name):
        return self.browser.ask('GET', f'{self.path}/attribute/{name}')

    def shown(self):
        return self.browser.ask('GET', f'{self.path}/displayed')

    def box(self):
        return self.browser.ask('GET', f'{self.path}/rect')


class Browser:
    def __init__(self, dark=False, size=(1280, 720)):
        self.dark, self.size = dark, size
        self.home = tempfile.mkdtemp(prefix='browser.')
        self.session = self.driver = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        env = dict(os.environ, HOME=self.home, TMPDIR=self.home)
        self.driver = subprocess.Popen(['chromedriver', '--port=0', '--allowed-ips=127.0.0.1'],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
            text=True)
        for line in self.driver.stdout:
            found = re.search(r'started successfully on port (\d+)', line)
            if found:
                break
        else:
            raise RuntimeError('chromedriver did not start')
        self.url = f'http://127.0.0.1:{found[1]}/session'
        flags = FLAGS + [f'--user-data-dir={self.home}/profile',
            f'--window-size={self.size[0]},{self.size[1]}'] + (
            ['--force-dark-mode', '--blink-settings=preferredColorScheme=0'] if self.dark else [])
        made = self.call('POST', self.url, {'capabilities': {'alwaysMatch': {
            'browserName': 'chrome',
            'goog:chromeOptions': {'binary': shutil.which('chromium'), 'args': flags},
            'goog:loggingPrefs': {'browser': 'ALL'},
        }}})
        self.session = f'{self.url}/{made["sessionId"]}'

    def stop(self):
        if self.session:
            with contextlib.suppress(Exception):
                self.call('DELETE', self.session)
        if self.driver:
            self.driver.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.driver.wait(10)
            self.driver.kill()
            self.driver.wait()
            self.driver.stdout.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def call(self, method, url, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {'Content-Type': 'application/json'}, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=PATIENCE) as answer:
                return json.load(answer)['value']
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)['value']['message']) from None

    def ask(self, method, path, body=None):
        return self.call(method, self.session + path, body)

    # ---- what tests do ----

    def open(self, path):
        self.ask('POST', '/url', {'url': pathlib.Path(path).absolute().as_uri()})

    def narrow(self, width):
        """As on a telephone: a window is never that small."""
        self.ask('POST', '/goog/cdp/execute', {'cmd': 'Emulation.setDeviceMetricsOverride',
            'params': {'width': width, 'height': 800, 'deviceScaleFactor': 1, 'mobile': False}})

    def run(self, script, *arguments):
        """JavaScript in the page, a function's body."""
        return self.ask('POST', '/execute/sync', {'script': script, 'args': list(arguments)})

    def elements(self, css):
        found = self.ask('POST', '/elements', {'using': 'css selector', 'value': css})
        return [Element(self, one[ELEMENT]) for one in found]

    def element(self, css):
        found = self.elements(css)
        if not found:
            raise AssertionError(f'no {css} in the page')
        return found[0]

    def keys(self, *keys):
        """Pressed one after the other, wherever the focus is."""
        actions = [step for key in keys for step in
                   ({'type': 'keyDown', 'value': key}, {'type': 'keyUp', 'value': key})]
        self.ask('POST', '/actions', {'actions': [{'type': 'key', 'id': 'k', 'actions': actions}]})

    def point(self, x, y):
        self.ask('POST', '/actions', {'actions': [{'type': 'pointer', 'id': 'm', 'actions': [
            {'type': 'pointerMove', 'x': round(x), 'y': round(y), 'duration': 0}]}]})

    def until(self, script, *arguments):
        """Waits until the function's body returns something true."""
        end = time.monotonic() + PATIENCE
        while True:
            value = self.run(script, *arguments)
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(f'never came true: {script}')
            time.sleep(0.05)

    def complaints(self):
        """What the page wrote to the console: errors, and what its policy refused."""
        return [entry['message'] for entry in self.ask('POST', '/se/log', {'type': 'browser'})]

    def screenshot(self, path):
        picture = base64.b64decode(self.ask('GET', '/screenshot'))
        pathlib.Path(path).write_bytes(picture)
        return picture


ESCAPE, ENTER, UP, DOWN, LEFT, RIGHT = '\ue00c', '\ue007', '\ue013', '\ue015', '\ue012', '\ue014'
