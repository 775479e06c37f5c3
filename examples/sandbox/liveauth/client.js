/*
 * LiveAuthClient: the idibu LiveAuth API for a web page. ES5, no dependencies, one global name.
 *
 * Written for the Countersign sandbox after idibu's public document; it is not idibu's script. The interface is the
 * document's: new LiveAuthClient({auth, endpoint, callbackParam, timeout, window, onError}), and the methods test,
 * getStatus, login and logout, whose last parameter is a callback.
 *
 * The endpoint is called by JSONP. What goes wrong (no answer in time, a script that does not load, an answer that is
 * none, an error that the endpoint reports, a pop-up that is blocked) is told to onError, once, and the callback is
 * not called. The document does not say how the endpoint reports errors: taken here for one is {"error": "..."}.
 */
(function (root) {
    'use strict';

    var ENDPOINT = 'https://www.idibu.com/clients/api/liveauth/';
    /* Milliseconds between two looks at whether the pop-up is closed: a page of another site says nothing by itself. */
    var LOOK_EVERY = 200;
    var calls = 0;

    function LiveAuthClient(config) {
        var given = config || {};
        var auth = given.auth || {};
        if (!present(auth.client) || !present(auth.expires) || !present(auth.hash)) {
            throw new TypeError('LiveAuthClient needs auth with client, expires and hash');
        }
        this.auth = { client: auth.client, expires: auth.expires, hash: auth.hash };
        this.endpoint = String(given.endpoint || ENDPOINT).replace(/\/*$/, '/');
        this.callbackParam = given.callbackParam || 'callback';
        this.timeout = present(given.timeout) ? Number(given.timeout) : 5000;
        this.window = given.window || 'width=800,height=600';
        this.onError = given.onError || function (message) {
            console.error(message);
        };
    }

    /* Whether the hash is good: callback('hello world'). */
    LiveAuthClient.prototype.test = function (callback) {
        var client = this;
        request(client, 'test', {}, function (answer) {
            if (typeof answer !== 'string') {
                client.onError(unexpected('test'));
                return;
            }
            tell(callback, [answer]);
        });
    };

    /* Who posts on a portal for a profile: callback({signed, isProfile, name, picture}). */
    LiveAuthClient.prototype.getStatus = function (options, callback) {
        var client = this;
        request(client, 'status', pick(options, ['portal', 'profile']), function (answer) {
            if (!isObject(answer)) {
                client.onError(unexpected('status'));
                return;
            }
            tell(callback, [answer]);
        });
    };

    /*
     * Lets the user log in to a portal in a pop-up: callback(credentials). It must be called from a click or a key
     * press, or the browser blocks the pop-up: so that is opened at once, empty, and sent to the portal afterwards.
     */
    LiveAuthClient.prototype.login = function (options, callback) {
        var client = this;
        var popup = root.open('about:blank', '_blank', client.window);
        if (!popup) {
            client.onError('LiveAuth login: the browser blocked the pop-up; call login from a click, and allow pop-ups');
            return;
        }
        /* The portal's page is somebody else's: it gets no hold on this one. */
        popup.opener = null;
        request(client, 'login', pick(options, ['portal', 'link', 'id']), function (answer) {
            if (!isObject(answer) || !isWebAddress(answer.url) || !present(answer.token)) {
                popup.close();
                client.onError(unexpected('login'));
                return;
            }
            if (popup.closed) {
                client.onError('LiveAuth login: the pop-up was closed before the portal was shown');
                return;
            }
            popup.location.href = answer.url;
            onceClosed(popup, function () {
                request(client, 'complete-info', { token: answer.token }, function (credentials) {
                    if (!isObject(credentials)) {
                        client.onError(unexpected('complete-info'));
                        return;
                    }
                    tell(callback, [credentials]);
                });
            });
        }, function () {
            popup.close();
        });
    };

    /* Removes what login saved: callback(). */
    LiveAuthClient.prototype.logout = function (options, callback) {
        request(this, 'logout', pick(options, ['portal', 'link', 'id']), function () {
            tell(callback, []);
        });
    };

    /* One JSONP request. Either done(answer) or onError(message), the latter after failed(), and only once. */
    function request(client, action, parameters, done, failed) {
        var name = uniqueName();
        var script = document.createElement('script');
        var timer;

        function clear() {
            root.clearTimeout(timer);
            script.onload = null;
            script.onerror = null;
            if (script.parentNode) {
                script.parentNode.removeChild(script);
            }
        }

        function fail(why) {
            clear();
            if (failed) {
                failed();
            }
            client.onError('LiveAuth ' + action + ': ' + why);
        }

        root[name] = function (answer) {
            clear();
            forget(name);
            if (isObject(answer) && present(answer.error)) {
                fail(String(answer.error));
                return;
            }
            done(answer);
        };
        timer = root.setTimeout(function () {
            /* The script may come yet, and must find somebody to call. */
            root[name] = function () {
                forget(name);
            };
            fail('no answer within ' + client.timeout + ' ms');
        }, client.timeout);
        script.onerror = function () {
            forget(name);
            fail('the request failed');
        };
        /* Runs after the script has: had it called, this would be gone. */
        script.onload = function () {
            forget(name);
            fail('the answer could not be read');
        };
        script.async = true;
        script.src = client.endpoint + action + '?' + query(client, parameters, name);
        (document.head || document.documentElement).appendChild(script);
    }

    function query(client, parameters, name) {
        var pairs = [];
        var add = function (key, value) {
            pairs.push(encodeURIComponent(key) + '=' + encodeURIComponent(value));
        };
        add('client', client.auth.client);
        add('expires', client.auth.expires);
        add('hash', client.auth.hash);
        Object.keys(parameters).forEach(function (key) {
            add(key, parameters[key]);
        });
        add(client.callbackParam, name);
        return pairs.join('&');
    }

    function onceClosed(popup, then) {
        var looking = root.setInterval(function () {
            if (popup.closed) {
                root.clearInterval(looking);
                then();
            }
        }, LOOK_EVERY);
    }

    function uniqueName() {
        calls += 1;
        return 'liveAuthCallback_' + calls + '_' + Math.random().toString(36).slice(2);
    }

    function forget(name) {
        try {
            delete root[name];
        } catch (ignored) {
            root[name] = undefined;
        }
    }

    function pick(options, names) {
        var picked = {};
        names.forEach(function (name) {
            if (options && present(options[name])) {
                picked[name] = options[name];
            }
        });
        return picked;
    }

    function tell(callback, values) {
        if (typeof callback === 'function') {
            callback.apply(undefined, values);
        }
    }

    function unexpected(action) {
        return 'LiveAuth ' + action + ': the answer is not what the document promises';
    }

    function present(value) {
        return value !== undefined && value !== null;
    }

    function isObject(value) {
        return typeof value === 'object' && value !== null && !Array.isArray(value);
    }

    /* Never javascript: or data:, whoever answered. */
    function isWebAddress(value) {
        return typeof value === 'string' && /^https?:\/\//i.test(value);
    }

    root.LiveAuthClient = LiveAuthClient;
}(window));
