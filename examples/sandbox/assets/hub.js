/* What Hub asks an app for, from the user's browser: generation 1 by POST, generation 2 partly in addresses. */
(function () {
    'use strict';

    var hub = document.getElementById('hub');
    var app = hub.dataset.app;
    var second = hub.dataset.generation === '2';
    var pushes;

    function show(id, text) {
        document.getElementById(id).textContent = text;
    }

    function query(session, quoted) {
        var auth = quoted ? JSON.stringify(session.auth) : session.auth;
        return 'auth=' + encodeURIComponent(auth) + '&username=' + encodeURIComponent(session.username);
    }

    function post(path, body) {
        return fetch(app + path, {
            method: 'POST',
            credentials: 'include',
            headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify(body)
        });
    }

    function fill(id, request) {
        request.then(function (answer) {
            return answer.json();
        }).then(function (value) {
            show(id, JSON.stringify(value, null, 2));
        }).catch(function (why) {
            show(id, 'failed: ' + why);
        });
    }

    function ask(session) {
        var body = { csrf: session.csrf, auth: session.auth, username: session.username };
        if (second) {
            body.auth = JSON.stringify(session.auth);
            fill('notifications', post('/notifications', body));
            fill('timeline', fetch(app + '/timeline?' + query(session, true), { credentials: 'include' }));
        } else {
            fill('timeline', post('/timeline', body));
            body.hubLoginToken = session.hubLoginToken;
            fill('notifications', post('/notifications', body));
        }
        document.getElementById('microapp').src = app + '/microapp?' + query(session, false);
        document.getElementById('contextual').src =
            app + '/contextual?context=jane%40example.com&' + query(session, second);
    }

    function look() {
        var address = '/session.json?generation=' + hub.dataset.generation + '&as=' + hub.dataset.as;
        fetch(address).then(function (answer) {
            return answer.json();
        }).then(function (session) {
            show('pushes', session.pushes);
            if (pushes !== session.pushes) {
                pushes = session.pushes;
                ask(session);
            }
            setTimeout(look, 1000);
        }, function () {
            setTimeout(look, 5000);
        });
    }

    look();
}());
