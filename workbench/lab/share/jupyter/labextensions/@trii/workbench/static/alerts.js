// Messages about alerts as Lab's own notifications. The server says what is open; a page shows the newest of it, and
// what it has missed while it was not connected is asked for again.

const SHOWN = 3;
const LINE = 100;
const FOUND = 45;
const AGAIN_MS = 60_000;
const SNOOZE = "1 h";
const KINDS = { low: "info", normal: "warning", high: "error", urgent: "error" };

/** A text as one line that leaves room for the next: Lab shows 140 characters, as plain text. */
function line(text, most) {
  const plain = String(text).replace(/\s+/g, " ").trim();
  return plain.length > most ? `${plain.slice(0, most - 1)}…` : plain;
}

function wording(message) {
  const count = message.alerts === 1 ? "1 alert" : `${message.alerts.toLocaleString("en")} alerts`;
  const sent = new Date(message.sent);
  const today = sent.toDateString() === new Date().toDateString();
  const clock = { hour: "2-digit", minute: "2-digit" };
  const when = today ? sent.toLocaleTimeString([], clock) : sent.toLocaleString([], { month: "short", day: "numeric", ...clock });
  if (message.found) {
    return `${line(message.subject, LINE - FOUND)}\n${line(message.found, FOUND)}\n${when}`;
  }
  const subject = line(message.subject, LINE);
  // A message that tells of many says so itself, unless its words were too long.
  return subject.includes(count) ? `${subject}\n${when}` : `${subject}\n${count}, ${when}`;
}

export function showAlerts({ app, Notification, ServerConnection, URLExt, page }) {
  const settings = app.serviceManager.serverSettings;
  const place = URLExt.join(settings.baseUrl, "workbench/alerts");
  // By number: what is open, and the ids of its notifications here. One that was dismissed is not shown again.
  const open = new Map();
  const shown = new Map();
  const dismissed = new Set();
  const more = { notification: "", count: 0 };

  async function ask(path, body) {
    const init = body ? { method: "POST", body: JSON.stringify(body) } : {};
    const answer = await ServerConnection.makeRequest(path, init, settings);
    const found = await answer.json();
    if (!answer.ok) {
      throw new Error(found.message);
    }
    return found;
  }

  function close(id) {
    const notification = shown.get(id);
    shown.delete(id);
    if (notification) {
      Notification.dismiss(notification);
    }
  }

  function action(label, caption, id, path, body, displayType) {
    const callback = async (event) => {
      // Lab would take the notification away at once, also where the server cannot be reached.
      event.preventDefault();
      try {
        await ask(URLExt.join(place, String(id), path), body);
        open.delete(id);
        draw();
      } catch (error) {
        Notification.error(`This could not be noted: ${error.message}`.slice(0, 140), { autoClose: 10_000 });
      }
    };
    return { label, caption, callback, displayType };
  }

  function show(message) {
    const { id } = message;
    const actions = [
      action("Acknowledge", "Somebody has seen all of it", id, "acknowledge", {}, "accent"),
      ...(message.snoozable
        ? [action(`Snooze ${SNOOZE}`, "Its rules tell nobody for a while", id, "snooze", { for: SNOOZE })]
        : []),
      ...(page.app ? [{ ...look("Details"), displayType: "link" }] : []),
    ];
    const kind = KINDS[message.priority] ?? "warning";
    shown.set(id, Notification.emit(wording(message), kind, { autoClose: false, actions }));
  }

  function look(label) {
    const callback = (event) => {
      event.preventDefault();
      window.open(settings.baseUrl + page.app, "_blank", "noopener");
    };
    return { label, caption: "Open the alerts in a tab of their own", callback };
  }

  function showMore(count) {
    const before = more.count;
    more.count = count;
    if (count === before) {
      return;
    }
    const message = count === 1 ? "1 more message about alerts" : `${count} more messages about alerts`;
    const options = { autoClose: false, actions: page.app ? [look("Open alerts")] : [] };
    if (!count) {
      Notification.dismiss(more.notification);
    } else if (Notification.manager.has(more.notification)) {
      Notification.update({ id: more.notification, message, type: "info", ...options });
    } else if (count > before) {
      // Who dismissed it is told again only when there are more.
      more.notification = Notification.emit(message, "info", options);
    }
  }

  function draw() {
    for (const [id, notification] of shown) {
      if (!Notification.manager.has(notification)) {
        shown.delete(id);
        dismissed.add(id);
      }
    }
    // One that was closed may be opened again, after a snooze.
    [...dismissed].filter((id) => !open.has(id)).forEach((id) => dismissed.delete(id));
    const wanted = [...open.values()].filter(({ id }) => !dismissed.has(id));
    wanted.sort((one, other) => other.sent.localeCompare(one.sent) || other.id - one.id);
    const top = new Set(wanted.slice(0, SHOWN).map(({ id }) => id));
    [...shown.keys()].filter((id) => !top.has(id)).forEach(close);
    const fresh = wanted.filter(({ id }) => top.has(id) && !shown.has(id));
    showMore(wanted.length - top.size);
    // The newest last: Lab puts the last one on top.
    fresh.reverse().forEach(show);
  }

  async function synchronise() {
    try {
      const { messages } = await ask(place);
      open.clear();
      messages.forEach((message) => open.set(message.id, message));
      draw();
    } catch (error) {
      // The server is away, of which Lab itself tells; it is asked again.
      console.warn(`alerts: ${error.message}`);
    }
  }

  app.serviceManager.events.stream.connect((_sender, event) => {
    if (event.schema_id !== page.schema) {
      return;
    }
    if (event.action === "opened") {
      open.set(event.id, event);
    } else {
      open.delete(event.id);
    }
    draw();
  });
  // What somebody dismisses makes room for the next; what is taken away here is shown no more by then.
  Notification.manager.changed.connect((_manager, change) => change.type === "removed" && queueMicrotask(draw));
  setInterval(() => document.hidden || synchronise(), AGAIN_MS);
  document.addEventListener("visibilitychange", () => document.hidden || synchronise());
  app.restored.then(synchronise);
}
