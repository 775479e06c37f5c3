/* The buttons of the page "LiveAuth in the browser", each a method of the library. */
(function () {
    'use strict';

    var outcome = document.getElementById('outcome');

    function meta(name) {
        return document.getElementsByName(name)[0].getAttribute('content');
    }

    function show(what, failed) {
        outcome.className = failed ? 'failed' : '';
        outcome.textContent = what;
    }

    function asked() {
        var form = document.getElementById('asked');
        var wanted = { portal: form.portal.value };
        if (form.link.value) { wanted.link = form.link.value; }
        if (form.link.value && form.link.value !== 'global') { wanted.id = form.id.value; }
        return wanted;
    }

    /* Credentials are for the job site alone: a page that shows them whole would teach the wrong thing. */
    function masked(credentials) {
        var shown = {};
        Object.keys(credentials).forEach(function (name) {
            var value = String(credentials[name]);
            shown[name] = value.slice(0, 6) + '… (' + value.length + ' characters)';
        });
        return shown;
    }

    var liveauth = new LiveAuthClient({
        auth: {
            client: meta('x-liveauth-client'),
            expires: meta('x-liveauth-expires'),
            hash: meta('x-liveauth-hash')
        },
        onError: function (message) {
            show('onError: ' + message, true);
        }
    });

    function on(id, does) {
        document.getElementById(id).addEventListener('click', function () {
            show('asking…');
            does();
        });
    }

    on('do-test', function () {
        liveauth.test(function (message) {
            show('test: ' + message);
        });
    });
    on('do-status', function () {
        var form = document.getElementById('asked');
        liveauth.getStatus({ portal: form.portal.value, profile: form.id.value }, function (status) {
            show('status: ' + JSON.stringify(status, null, 2));
        });
    });
    on('do-login', function () {
        show('The pop-up is open. Allow idibu there.');
        liveauth.login(asked(), function (credentials) {
            show('credentials: ' + JSON.stringify(masked(credentials), null, 2));
        });
    });
    on('do-logout', function () {
        liveauth.logout(asked(), function () {
            show('Done! The credentials are removed.');
        });
    });
}());
