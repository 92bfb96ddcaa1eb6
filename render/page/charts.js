'use strict';
/* The page of charts: one for each group of numbers, over one of some spans of time. */

let data = JSON.parse(byId('data').textContent), chosen = 0;

function draw() {
	const span = data.spans[chosen], grid = byId('charts');
	while (grid.children.length < span.charts.length)
		grid.append(document.createElement('section'));
	span.charts.forEach((chart, i) => drawChart(grid.children[i], chart, span.times, span.seconds * 1000));
	document.documentElement.dataset.draws = Number(document.documentElement.dataset.draws || 0) + 1;
}

function chooseSpan(number) {
	chosen = number;
	[...byId('spans').children].forEach((button, i) => button.setAttribute('aria-pressed', i === chosen));
	draw();
}

function start() {
	const pid = document.createElement('span');
	pid.textContent = ` ${data.pid}`;
	byId('name').replaceChildren(data.program, pid);
	data.spans.forEach((span, i) => {
		const button = document.createElement('button');
		button.type = 'button';
		button.textContent = span.name;
		button.addEventListener('click', () => chooseSpan(i));
		byId('spans').append(button);
	});
	followTheme(() => {});
	chooseSpan(0);
	addEventListener('resize', draw);
	const again = stayYoung(data, newer => {
		data = newer;
		draw();
	}, (words, ended) => {
		byId('state').textContent = words;
		byId('again').hidden = !ended;
	});
	byId('again').addEventListener('click', again);
	document.documentElement.dataset.ready = 'yes';
}

if (!isFrame(data))
	start();
