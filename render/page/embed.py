#!/usr/bin/env python3
"""Makes C of the pages.

usage: embed.py OUT NAME=FILE.html...

A page takes in what it names, from its own directory:

    <link rel="stylesheet" href="flame.css">    becomes <style>...</style>
    <script src="flame.js"></script>            becomes <script>...</script>

and has a gap for its title, <!--title-->, and one for its data, <!--data-->. OUT gets three arrays of
bytes for each page: NAME_head, NAME_body and NAME_tail. `embed.py OUT NAME=FILE.css` gives NAME alone.
"""
import pathlib
import re
import sys


def page(path):
    text = path.read_text()

    def take(name, tag, closing):
        inside = (path.parent / name).read_text()
        if closing in inside.lower():
            sys.exit(f'embed.py: {name} has {closing} in it')
        return f'<{tag}>\n{inside}{closing}'

    text = re.sub(r'<link rel="stylesheet" href="([^"]+)">',
                  lambda m: take(m[1], 'style', '</style>'), text)
    text = re.sub(r'<script src="([^"]+)"></script>',
                  lambda m: take(m[1], 'script', '</script>'), text)
    parts = re.split(r'<!--(?:title|data)-->', text)
    if len(parts) != 3:
        sys.exit(f'embed.py: {path} must have one <!--title--> and one <!--data--> behind it')
    return parts


def array(name, text):
    data = text.encode()
    lines = [','.join(str(b) for b in data[i:i + 24]) for i in range(0, len(data), 24)]
    return f'static const unsigned char {name}[] = {{\n' + ',\n'.join(lines) + '};\n'


def main():
    out = []
    for word in sys.argv[2:]:
        name, _, file = word.partition('=')
        path = pathlib.Path(file)
        if path.suffix == '.html':
            for part, text in zip(('head', 'body', 'tail'), page(path)):
                out.append(array(f'{name}_{part}', text))
        else:
            out.append(array(name, path.read_text()))
    pathlib.Path(sys.argv[1]).write_text(''.join(out))


main()
