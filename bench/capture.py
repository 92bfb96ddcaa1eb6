"""One capture of a 30-frame stack in a handler, warm, beside the other ways in the same run."""
import subprocess

import bench

BAR_NS = 600

lines = subprocess.run([bench.TARGET / 'capture'], capture_output=True, text=True, check=True).stdout
ways = [line.split('\t') for line in lines.splitlines()]
_, warm, late, found, frames = ways[0]
bench.row(f'a stack of {frames} frames captured and stored in a handler, -O2 code, warm',
          f'<= {BAR_NS} ns', f'{warm} ns (99 %: {late}; as found: {found})',
          '; '.join(f'{name} {warm} (as found: {found})' for name, warm, _, found, _ in ways[1:]))
