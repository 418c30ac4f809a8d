"""What scripts that fork begin with. Imported by the tests of forks."""

SCRIPT = """
import os, signal, sys, threading, traceback
from mood_event import *

def in_child(function):
    '''Fork; returns the child, which calls the function.'''
    pid = os.fork()
    if not pid:
        finish(function)
    return pid

def finish(function):
    try:
        function()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)

def wait(pid):
    assert os.waitpid(pid, 0)[1] == 0
"""
