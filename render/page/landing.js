'use strict';
/* The landing page is HTML already; this draws its charts. */

{
	const data = JSON.parse(byId('data').textContent), span = data.spans[0];
	const places = span.charts.map(() => document.createElement('section'));
	const draw = () => span.charts.forEach((chart, i) => drawChart(places[i], chart, span.times, span.seconds * 1000));
	byId('charts').append(...places);
	followTheme(() => {});
	draw();
	addEventListener('resize', draw);
	document.documentElement.dataset.ready = 'yes';
}
