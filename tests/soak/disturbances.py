"""What is broken on purpose: a table. Each ends only when every agent serves again, then there is peace for a while."""

import signal
import time

from installation import DRAIN_SECONDS, SHAKY_AGENTS

END_SECONDS = 60  # A program that is told to stop, under a sanitizer on a busy machine; the drain is judged by it.


def any_agent(installation, random):
    number = random.randint(1, SHAKY_AGENTS)
    return number, installation.agents["shaky", number]


def end(program):
    """kill -9; a large process on a busy machine takes its time even then."""
    program.process.kill()
    program.wait(END_SECONDS)


def kill_agent(installation, random, record):
    number, agent = any_agent(installation, random)
    installation.killed.add(agent.pid)
    end(agent)
    time.sleep(random.uniform(0, 2))
    installation.start_agent("shaky", number)


def stop_agent(installation, random, record):
    _, agent = any_agent(installation, random)
    agent.signal(signal.SIGSTOP)
    try:
        time.sleep(random.uniform(1, 6))
    finally:
        agent.signal(signal.SIGCONT)


def end_agent(installation, random, record):
    number, agent = any_agent(installation, random)
    began_at, late_before = time.monotonic(), record.late_seconds
    code = agent.terminate(END_SECONDS)
    took = time.monotonic() - began_at - 2 * (record.late_seconds - late_before)
    if code != 0 or took > DRAIN_SECONDS + installation.factor:
        record.violate(f"SIGTERM ended shaky-{number} with {code} after {took:.1f} s\n{agent.transcript(20)}")
    installation.start_agent("shaky", number)


def second_agent(installation, random, record):
    """A second one with the same name asks again and again, and is refused: the first one answers."""
    number, agent = any_agent(installation, random)
    second = installation.start_agent("shaky", number, state="-second")
    time.sleep(random.uniform(1, 5))
    installation.killed.add(second.pid)
    end(second)
    if not agent.running():
        record.violate(f"shaky-{number} ended because a second one came\n{agent.transcript(20)}")
        installation.start_agent("shaky", number)


def restart_backend(installation, random, record):
    installation.restart_backend("shaky", random.uniform(0, 3))


def lose_old_agent(installation, random, record):
    installation.old_agent.abort()
    time.sleep(random.uniform(0, 1))
    installation.connect_old_agent()


def reload(installation, random, record):
    installation.control.signal(signal.SIGHUP)


# What is done, how often of all, the app whose requests it may break, and those of how many seconds or more.
DISTURBANCES = {
    "an agent is killed": (kill_agent, 3, "shaky", 0),
    "an agent is stopped and goes on": (stop_agent, 3, None, 0),
    # It finishes what it has begun, as long as it takes no longer than the drain.
    "an agent is ended and started again": (end_agent, 3, "shaky", DRAIN_SECONDS - 0.5),
    "a second agent has the same name": (second_agent, 2, None, 0),
    "the backend is killed and started again": (restart_backend, 2, "shaky", 0),
    "the agent of version 1 loses its tunnel": (lose_old_agent, 2, "old", 0),
    "the control plane reads its settings again": (reload, 1, None, 0),
}


def disturb(installation, random, record):
    """One of them, from begin to peace; its name."""
    name = random.choices(list(DISTURBANCES), [weight for _, weight, *_ in DISTURBANCES.values()])[0]
    function, _, app, seconds_min = DISTURBANCES[name]
    disturbance = record.begin(name, app, seconds_min)
    try:
        function(installation, random, record)
        installation.wait_serving()
    except Exception as error:  # The load goes on; that it did not come back is what is to be told.
        record.violate(f"{name}: {type(error).__name__}: {error}")
    finally:
        disturbance.end()
    return name
