'use strict';
/* Data that stays young: the page opens its own file again in a frame that nobody sees, and takes the data
 * from there. A file on a live tree is made anew by each opening; a copy is the same again, and then
 * that is said and nothing is asked any more. Frames from file:// may send messages, and nothing else.
 *
 * It ends by itself: when nobody looks, when nobody has touched the page for ten minutes, or when the
 * process is gone.
 */

const EVERY_MS = 2000, PATIENCE_MS = 5000, EMPTY_MS = 500, FAILURES_MAX = 5, UNTOUCHED_MS = 10 * 60 * 1000;

/* In the frame: hands its data out; true, and then there is nothing to draw. */
function isFrame(data) {
	if (window.parent === window)
		return false;
	window.parent.postMessage(data, '*');
	return true;
}

/* Calls show(data) whenever there is newer data, and tell(words) with how it stands. */
function stayYoung(data, show, tell) {
	let touched = Date.now(), failures = 0, stopped = false, frame = null, timer = 0, given = 0;
	const when = made => clock.format(new Date(made));

	function end(words) {
		stopped = true;
		tell(words, true);
	}
	function close() {
		clearTimeout(given);
		if (frame)
			frame.remove();
		frame = null;
	}
	function next() {
		clearTimeout(timer);
		if (!stopped)
			timer = setTimeout(ask, EVERY_MS);
	}
	function ask() {
		if (document.hidden)
			return; /* until it is looked at again */
		if (Date.now() - touched > UNTOUCHED_MS) {
			end(`paused at ${when(data.made)}`);
			return;
		}
		frame = document.createElement('iframe');
		frame.hidden = true;
		frame.title = 'newer data';
		frame.src = location.href.split('#')[0];
		/* The data comes before the frame is complete; a frame without is somebody's error page. */
		frame.addEventListener('load', () => {
			clearTimeout(given);
			given = setTimeout(failed, EMPTY_MS);
		});
		document.body.append(frame);
		given = setTimeout(failed, PATIENCE_MS);
	}
	function failed() {
		close();
		if (++failures >= FAILURES_MAX)
			end(`no answer since ${when(data.made)}`);
		else
			tell(`no answer since ${when(data.made)}`);
		next();
	}
	window.addEventListener('message', event => {
		if (!frame || event.source !== frame.contentWindow)
			return;
		close();
		failures = 0;
		if (event.data.made === data.made) {
			end(`a copy, made ${new Date(data.made).toLocaleString('en-GB')}`);
			return;
		}
		data = event.data;
		show(data);
		tell(`live, ${when(data.made)}`);
		next();
	});
	for (const kind of ['pointermove', 'keydown', 'scroll'])
		document.addEventListener(kind, () => { touched = Date.now() }, {passive: true});
	document.addEventListener('visibilitychange', () => {
		if (!document.hidden && !frame)
			next();
	});
	tell(`made ${when(data.made)}`);
	next();
	return () => { /* go on */
		touched = Date.now();
		failures = 0;
		if (stopped) {
			stopped = false;
			ask();
		}
	};
}
