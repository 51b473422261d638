"""The task kind shout, written by docs/protocol.md alone. Usage: shout.py nats://host:port [SEED_FILE]"""
import asyncio, json, sys
from datetime import datetime, timezone
import nats
from nats.js.errors import APIError

async def beat(msg, every):
    while True:
        await asyncio.sleep(every)
        await msg.in_progress()

async def do(js, msg):
    task = json.loads(msg.data)  # this kind's publishers write protobuf JSON
    run, generation, body = task["run"], task.get("generation", 0), task["task"]
    name = f"result.shout.{run}.{generation}.{body['id']}"
    event = {"id": name, "time": datetime.now(timezone.utc).isoformat(), "producer": "shout.py", "run": run, "generation": generation,
             "result": {"task": body["id"], "kind": "shout", "value": {"text": body["args"]["text"].upper()}}}
    headers = {"Nats-Msg-Id": name, "Content-Type": "application/json", "Ratchet-Run": run,
               "Ratchet-Generation": str(generation), "Ratchet-Kind": "result"}
    try:
        await js.publish("ratchet.v1." + name, json.dumps(event).encode(), headers=headers)
    except APIError as e:
        if (e.err_code, e.description) != (10077, "maximum messages per subject exceeded"): raise

async def main(url, seed=None):
    js = (await nats.connect(url, nkeys_seed=seed)).jetstream()
    tasks = await js.pull_subscribe_bind("shout", "TASKS")
    ack_wait = (await tasks.consumer_info()).config.ack_wait
    while True:
        try: [msg] = await tasks.fetch(1, timeout=30)
        except nats.errors.TimeoutError: continue
        beating = asyncio.create_task(beat(msg, ack_wait / 3))
        try:
            await asyncio.wait_for(do(js, msg), timeout=3600)
            await msg.ack_sync()
        except Exception as e:
            print("again later:", repr(e), file=sys.stderr)
            await msg.nak(delay=5)
        finally: beating.cancel()
asyncio.run(main(*sys.argv[1:]))
