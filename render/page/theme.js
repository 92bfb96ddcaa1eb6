'use strict';
/* What all pages share: elements by id, buttons that stay pressed, light and dark. */

const byId = id => document.getElementById(id);
const pressed = (id, on) => byId(id).setAttribute('aria-pressed', on);
const isPressed = id => byId(id).getAttribute('aria-pressed') === 'true';

/* As the system has it, until the button says otherwise. */
function followTheme(changed) {
	const system = matchMedia('(prefers-color-scheme: dark)');
	const theme = dark => {
		document.documentElement.dataset.theme = dark ? 'dark' : 'light';
		pressed('theme', dark);
		changed();
	};
	system.addEventListener('change', () => theme(system.matches));
	byId('theme').addEventListener('click', () => theme(!isPressed('theme')));
	theme(system.matches);
}
