/* Only a window that a script opened can be closed so. A moment, to be read. */
setTimeout(function () { window.close(); }, 700);
