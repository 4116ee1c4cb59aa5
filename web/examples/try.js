// A complete client of the gateway in one small file: what a page needs, and no more.
//
// A request is {id, action, body, headers}; its reply carries the same id. Frames without an id that have a
// Message_Type are pushes. The subprotocol nusku.v1 adds the message's id, marker and age to them.

const $ = (id) => document.getElementById(id);
const clientID = crypto.randomUUID(); // who posts: a subscriber or reader can leave out its own messages
const waiting = new Map(); // id of a request -> what to call with its reply
let socket = null;
let lastID = 0;

// request sends one action and resolves with its reply, also when that reports an error.
function request(action, body) {
  return new Promise((resolve, reject) => {
    if (socket?.readyState !== WebSocket.OPEN) {
      reject(new Error("not connected"));
      return;
    }
    const id = ++lastID;
    waiting.set(id, { resolve, reject });
    const frame = { id, action, headers: { "Client-ID": clientID, "X-Project-ID": $("project").value }, body };
    socket.send(JSON.stringify(frame));
    show("sent", "sent", frame);
  });
}

function receive(event) {
  const frame = JSON.parse(event.data);
  if (frame.Message_Type !== undefined) {
    show("push", frame.Message_Type === "Gap" ? "gap" : "push", frame);
    return;
  }
  const status = frame.headers.status;
  show(status < 400 ? "reply" : "fault", `reply ${status}`, frame);
  waiting.get(frame.id)?.resolve(frame);
  waiting.delete(frame.id);
}

function connect() {
  setStatus("closed", "connecting…");
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(`${scheme}//${location.host}/`, ["nusku.v1"]);
  socket.onopen = () => {
    setStatus("open", "connected");
    $("steps").disabled = false;
    $("connect").textContent = "Disconnect";
  };
  socket.onmessage = receive;
  socket.onclose = (event) => {
    const normal = event.code === 1000;
    setStatus(normal ? "closed" : "failed", normal ? "not connected" : `closed: ${event.code} ${event.reason}`);
    for (const { reject } of waiting.values()) reject(new Error("connection closed"));
    waiting.clear();
    $("steps").disabled = true;
    $("subscribe").disabled = false;
    $("connect").textContent = "Connect";
    $("claimed").replaceChildren(); // their claims run out by themselves
    socket = null;
  };
}

function setStatus(state, text) {
  $("status").dataset.state = state;
  $("status").textContent = text;
}

async function subscribe() {
  const reply = await request("subscription_create", { queue_name: $("queue").value, ttl: 3600 });
  $("subscribe").disabled = reply.headers.status < 400;
}

async function post() {
  let body;
  try {
    body = JSON.parse($("body").value);
  } catch (error) {
    $("body").setCustomValidity(`Not JSON: ${error.message}`);
    $("body").reportValidity();
    return;
  }
  await request("message_post", { queue_name: $("queue").value, messages: [{ body, ttl: Number($("ttl").value) }] });
}

async function claim() {
  const reply = await request("claim_create", { queue_name: $("queue").value, limit: Number($("limit").value), ttl: 300 });
  for (const message of reply.body.messages ?? []) $("claimed").append(claimedItem($("queue").value, message));
}

// claimedItem shows a message that this page holds, with the button that ends its life.
function claimedItem(queue, message) {
  const item = document.createElement("li");
  const text = document.createElement("span");
  text.className = "mono";
  text.textContent = JSON.stringify(message.body);
  const button = document.createElement("button");
  button.type = "button";
  button.className = "small";
  button.textContent = "Delete";
  button.setAttribute("aria-label", `Delete message ${message.id}`);
  button.onclick = guard(async () => {
    const { id, claim_id } = message;
    await request("message_delete", { queue_name: queue, message_id: id, claim_id });
    item.remove(); // deleted, or no longer ours: the log says which
  });
  item.append(text, button);
  return item;
}

// show adds a frame to the log and keeps the log short.
function show(kind, title, frame) {
  const log = $("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const item = document.createElement("li");
  item.className = kind;
  const what = document.createElement("div");
  what.className = "what";
  const label = document.createElement("span");
  label.className = "kind";
  label.textContent = title;
  const time = document.createElement("time");
  time.textContent = new Date().toLocaleTimeString();
  what.append(label, time);
  const text = document.createElement("pre");
  // A line for each member is enough to see what is what.
  text.textContent = Object.entries(frame).map(([name, value]) => `${name}: ${JSON.stringify(value)}`).join("\n");
  item.append(what, text);
  log.append(item);
  while (log.childElementCount > 200) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

// guard makes an event handler of an async function: a connection that closes meanwhile is told by the status line.
function guard(work) {
  return (event) => {
    event.preventDefault();
    work().catch((error) => console.info(error.message));
  };
}

$("connection").onsubmit = guard(async () => (socket ? socket.close(1000) : connect()));
$("subscribe").onclick = guard(subscribe);
$("post").onsubmit = guard(post);
$("claim").onsubmit = guard(claim);
$("queue").oninput = $("project").oninput = () => ($("subscribe").disabled = false);
$("body").oninput = () => $("body").setCustomValidity("");
$("clear").onclick = () => $("log").replaceChildren();
