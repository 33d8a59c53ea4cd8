import asyncio, time, os
import pytest
from tests.jobs.test_worker import calling
from tests.jobs.worker_process import running_worker

N=int(os.environ.get("LOADN","1000")); C=int(os.environ.get("LOADC","10"))
async def test_load(scene, database_url, server):
    server.delay = 0.1
    t=time.monotonic()
    async def one(i):
        await scene.tell("active", id_=f"sub_{i}", customer=f"cus_{i}")
        await scene.tell_invoice("paid", f"in_{i}", subscription=f"sub_{i}", customer=f"cus_{i}")
    for k in range(0,N,20):
        await asyncio.gather(*(one(i) for i in range(k,min(N,k+20))))
    await scene.pool.execute("delete from pgqueuer where entrypoint='refetch'"); await scene.pool.execute("delete from stripe_refetches")
    print("seeded", time.monotonic()-t)
    env = calling(server, concurrency=C)
    env["PROVISIONING_CONCURRENCY"]=str(C)
    t=time.monotonic()
    async with running_worker(database_url, **env) as a, running_worker(database_url, **env) as b:
        print("workers ready", time.monotonic()-t); t=time.monotonic()
        while True:
            n = await scene.pool.fetchval("select count(*) from subscriptions where status='active'")
            print(round(time.monotonic()-t,1), n)
            if n==N: break
            if time.monotonic()-t>120: print("".join(a.lines[-5:])); break
            await asyncio.sleep(1)
            if n > 300 and n < 400:
                rows = await scene.pool.fetch("select application_name, state, wait_event_type, wait_event, left(query,60) q from pg_stat_activity where datname=current_database() and application_name like 'mpanel%' and state<>'idle'")
                for r in rows: print("   ", dict(r))
        for w in (a,b):
            st=open(f"/proc/{w.process.pid}/stat").read().split(); print("cpu s", (int(st[13])+int(st[14]))/100)
        rows = await scene.pool.fetch("select state, wait_event_type, wait_event, left(query,80) q from pg_stat_activity where datname=current_database() and application_name like 'mpanel%'")
        for r in rows: print(dict(r))
    print("accounts", len(server.world.accounts), "requests", len(server.requests))
