'use strict';
/* Numbers for people. The same words as render/page.c. */

const SCALES = {
	nanoseconds: [[1e9, 's'], [1e6, 'ms'], [1e3, 'µs'], [1, 'ns']],
	bytes: [[2 ** 40, 'TiB'], [2 ** 30, 'GiB'], [2 ** 20, 'MiB'], [2 ** 10, 'KiB'], [1, 'B']],
};

function formatValue(value, unit) {
	const scale = SCALES[unit];
	if (!scale) {
		const digits = Number.isInteger(value) ? 0 : Math.abs(value) < 10 ? 2 : 1;
		const text = value.toLocaleString('en-US', {maximumFractionDigits: digits});
		return unit && unit !== 'count' ? `${text} ${unit}` : text;
	}
	const [size, name] = scale.find(([from]) => Math.abs(value) >= from) || scale[scale.length - 1];
	const scaled = value / size, large = Math.abs(scaled);
	return `${scaled.toFixed(size === 1 ? 0 : large < 10 ? 2 : large < 100 ? 1 : 0)} ${name}`;
}

function formatShare(value, whole) {
	return whole > 0 ? `${(100 * value / whole).toFixed(2)} %` : '';
}

/* "a<b<c>>::d" becomes "a<>::d"; operators keep their letters. */
function dropArguments(name) {
	const operator = /(?<=operator)(<=>|<<=|>>=|->\*|->|<<|>>|<=|>=|<|>)/y;
	let out = '', depth = 0;
	for (let i = 0; i < name.length; i++) {
		operator.lastIndex = i;
		const letters = depth === 0 && operator.exec(name);
		if (letters) {
			out += letters[0];
			i += letters[0].length - 1;
			continue;
		}
		if (name[i] === '>' && depth > 0)
			depth--;
		if (depth === 0)
			out += name[i];
		if (name[i] === '<')
			depth++;
	}
	return depth ? name : out;
}

/* What fits into `width` letters: template arguments go first, then what stands before "::", then the
 * end. */
function clipName(name, width) {
	if (name.length <= width)
		return name;
	if (width < 2)
		return '';
	name = dropArguments(name);
	while (name.length > width) {
		const at = name.indexOf('::');
		if (at < 0 || at + 2 >= name.length)
			return name.slice(0, width - 1) + '…';
		name = name.slice(at + 2);
	}
	return name;
}
