/* Shows what went over the wire, as it goes. Text only: nothing that somebody sent becomes markup. */
(function () {
    'use strict';

    var section = document.querySelector('.trace');
    var list = section.querySelector('ol');
    var after = 0;

    function part(tag, name, text) {
        var element = document.createElement(tag);
        element.className = name;
        element.textContent = text;
        return element;
    }

    function show(exchange) {
        var item = document.createElement('li');
        item.appendChild(part('span', 'who', exchange.from + ' → ' + exchange.to));
        item.appendChild(part('span', 'answer', exchange.answer));
        item.appendChild(part('code', 'request', exchange.request));
        if (exchange.sent) { item.appendChild(part('pre', 'sent', exchange.sent)); }
        if (exchange.got) { item.appendChild(part('pre', 'got', exchange.got)); }
        if (after === 0) { list.textContent = ''; }
        list.insertBefore(item, list.firstChild);
    }

    function look() {
        fetch('/trace.json?topic=' + section.dataset.topic + '&after=' + after).then(function (answer) {
            return answer.json();
        }).then(function (found) {
            found.exchanges.forEach(function (exchange) {
                show(exchange);
                after = exchange.number;
            });
            setTimeout(look, 1000);
        }, function () {
            setTimeout(look, 5000);
        });
    }

    look();
}());
