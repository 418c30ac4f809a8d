"""What mood_event does differently from mood.event 1.1.1 on purpose, case by case.

Used by test_side_by_side.py, which fails when a case differs that is not in here, when
one that is in here does not differ exactly so, and when the page docs/differences.md
does not name it.
"""

import sys
from typing import Any, NamedTuple

# An outcome that is anything: uninitialised memory, a deadlock, what a system has.
ANY = object()

# Before 3.11 CPython adds the frame of a `raise` to the traceback of what it raises.
HAS_LIBRARY_FRAME = sys.version_info < (3, 11) or sys.implementation.name != "cpython"


class Difference(NamedTuple):
    """One case that differs."""

    reference: Any
    here: Any
    why: str
    where: bool = True  # Does it differ on this interpreter?


ABORTED = "signal 6"
CRASHED = "signal 11"

DIFFERENCES = {
    # -- arguments that are checked
    "sleep_nan": Difference(
        None, "ValueError", "A time that is not finite is a mistake, and is refused."
    ),
    "feed_signal_of_no_signal": Difference(
        CRASHED, "ValueError", "What crashes in C is refused first: signal numbers."
    ),
    "start_unknown_flags": Difference(
        None, "ValueError", "Flags that mean nothing are a mistake, and are refused."
    ),
    "stop_unknown_how": Difference(
        [None] * 4, ["ValueError"] * 4, "libev does something odd with other values."
    ),
    "intervals_not_finite": Difference(
        [None] * 4, ["ValueError"] * 4, "libev computes nonsense with such times."
    ),
    "timer_not_finite": Difference(
        [None] * 5, ["ValueError"] * 5, "libev sorts timers by time, which NaN breaks."
    ),
    "timer_repeat_not_finite": Difference(
        [None] * 2, ["ValueError"] * 2, "libev sorts timers by time, which NaN breaks."
    ),
    "periodic_not_finite": Difference(
        [None] * 4, ["ValueError"] * 4, "libev sorts timers by time, which NaN breaks."
    ),
    "periodic_tiny_interval": Difference(
        None, "ValueError", "The check was meant, but its limit was computed as zero."
    ),
    "scheduler_that_returns_nan": Difference(
        [[], [], True, []],
        [[["ValueError", "scheduler"]], ["RuntimeWarning"], False, []],
        "NaN is no time: it fails as any other wrong answer of the callable does.",
    ),
    "io_events_of_other_masks": Difference(
        [None] * 4, ["ValueError"] * 4, "libev asserts, or never calls back."
    ),
    "io_descriptor_closed_before_start": Difference(
        None, "OSError", "A closed descriptor is refused before libev gets it."
    ),
    "io_descriptor_closed_while_active": Difference(
        ABORTED,
        ["OSError", False, []],
        "libev is built without its asserts, so this is EV_ERROR, and an exception.",
    ),
    "signal_of_no_signal": Difference(
        [None] * 3, ["ValueError"] * 3, "Signal numbers are checked first."
    ),
    "signal_of_no_signal_started": Difference(
        ABORTED, "ValueError", "Signal numbers are checked first."
    ),
    "signal_nobody_can_handle": Difference(
        None, "ValueError", "A watcher of it would never be called."
    ),
    "signal_in_two_loops": Difference(
        ABORTED, "Error", "What libev asserts is checked first, and is an exception."
    ),
    "child_negative_pid": Difference(
        None, "ValueError", "No process has it: the watcher would never be called."
    ),
    "embed_in_itself": Difference(
        ABORTED, "Error", "What libev asserts is checked first, and is an exception."
    ),
    "async_on_a_loop_that_never_had_one": Difference(
        ABORTED, "Error", "libev has nothing to wake such a loop with, and asserts."
    ),
    "unref_too_often": Difference(
        True, "Error", "With fewer references than none a loop would run for ever."
    ),
    "resume_without_suspend": Difference(
        None, "Error", "The specification forbids it, so it is refused."
    ),
    "start_in_a_second_thread": Difference(
        ANY, ["Error"], "Two threads in one loop corrupt it: the second is refused."
    ),
    "init_never_called": Difference(
        CRASHED, "Error", "A watcher that was never initialised says so."
    ),
    "priority_out_of_range_and_fed": Difference(
        CRASHED, ["timer"], "Priorities are clamped at once, not by start()."
    ),
    "priority_is_clamped_at_once": Difference(
        -100, -2, "Priorities are clamped at once, not by start()."
    ),
    # -- keyword arguments and constructors
    "default_loop_timeout_interval": Difference(
        "SystemError", 0.5, "The argument is documented, and works."
    ),
    "loop_timeout_interval_argument": Difference(
        "SystemError", 0.5, "The argument is documented, and works."
    ),
    "loop_timeout_interval_by_position": Difference(
        "SystemError", 0.5, "The argument is documented, and works."
    ),
    "default_loop_unknown_keyword": Difference(
        "SystemError", "TypeError", "As any other function in Python does."
    ),
    "loop_unknown_keyword": Difference(
        "SystemError", "TypeError", "As any other function in Python does."
    ),
    "loop_debug_argument": Difference(
        ["SystemError"] * 2, [None] * 2, "pyev has it, and its programs pass it."
    ),
    "scheduler_loop_must_be_a_loop": Difference(
        CRASHED, "TypeError", "A constructor that fails does not crash."
    ),
    "scheduler_unknown_keyword": Difference(
        CRASHED, "TypeError", "A constructor that fails does not crash."
    ),
    "scheduler_callback_must_be_callable": Difference(
        CRASHED, "TypeError", "A constructor that fails does not crash."
    ),
    "scheduler_without_a_callback": Difference(
        CRASHED, [None, None], "The specification lets the callback be left out."
    ),
    "scheduler_with_a_callback_of_none": Difference(
        CRASHED, None, "The specification lets the callback be None."
    ),
    "scheduler_keyword_scheduler": Difference(
        CRASHED, None, "The specification's name is scheduler, as is pyev's."
    ),
    "scheduler_attribute_scheduler": Difference(
        False, True, "The specification's name is scheduler, as is pyev's."
    ),
    # -- the loop as an object
    "loop_own_attributes": Difference(
        "AttributeError", None, "pyev programs set loop.debug."
    ),
    "loop_subclass": Difference("TypeError", None, "There is no reason against it."),
    "loop_weak_reference": Difference(
        "TypeError", None, "There is no reason against it."
    ),
    "watcher_weak_reference": Difference(
        "TypeError", None, "There is no reason against it."
    ),
    "loop_backend_of_all": Difference(
        ANY,
        True,
        "libev takes its experimental backends first wherever they are among others.",
    ),
    "default_loop_again_without_arguments_warns": Difference(
        [["RuntimeWarning"], True],
        [[], True],
        "Asking for the default loop is no mistake; arguments that are ignored are.",
    ),
    "default_loop_nobody_refers_to": Difference(
        None, "first", "The default loop lives until it is closed, as in libev."
    ),
    # -- lifetimes
    "watcher_dropped_while_active": Difference(
        [], ["timer"], "The loop holds a watcher while it is active or pending."
    ),
    "watcher_dropped_while_pending": Difference(
        [], ["timer"], "The loop holds a watcher while it is active or pending."
    ),
    # -- values
    "io_events_before_start": Difference(
        129, 1, "libev keeps a bit of its own in there, which says nothing to anybody."
    ),
    "periodic_at_before_start": Difference(ANY, 0.0, "It was uninitialised memory."),
    "async_sent_before_start": Difference(ANY, False, "It was uninitialised memory."),
    "pending_counts_cleared_and_stopped": Difference(
        3, 1, "A watcher that was cleared or stopped is not pending."
    ),
    # -- time
    "timer_start_outside_updates_the_time": Difference(
        False,
        True,
        "Outside of start() the loop's time is old, and timers would be early.",
    ),
    "order_timers_of_the_same_delay": Difference(
        [0, 2, 1],
        [0, 1, 2],
        "Each counts from its own start, so the one started first is due first.",
    ),
    # -- signals and children
    "signal_handler_after_stop": Difference(
        "signal 10", ["handler"], "What handled a signal before is put back."
    ),
    "signal_handler_while_idle": Difference(
        [None, ["with the timer"]],
        [None, ["in time"]],
        "A waiting loop wakes up for signals, so that Python's handlers run at once.",
    ),
    "signal_keyboard_interrupt_while_idle": Difference(
        ["KeyboardInterrupt", ["with the timer"]],
        ["KeyboardInterrupt", ["in time"]],
        "A waiting loop wakes up for signals, so that Ctrl-C works at once.",
    ),
    "child_of_somebody_else": Difference(
        "ChildProcessError",
        3,
        "Only children that are watched are waited for, others are left alone.",
    ),
    "child_of_somebody_else_while_one_is_watched": Difference(
        "ChildProcessError",
        3,
        "Only children that are watched are waited for, others are left alone.",
    ),
    "child_of_subprocess": Difference(
        0, 3, "Only children that are watched are waited for, others are left alone."
    ),
    "child_leaves_sigchld_alone": Difference(
        [], ["handler"], "SIGCHLD is handled only while a Child watcher is active."
    ),
    "fork_without_reset_calls_fork_watchers": Difference(
        [], ["fork"], "After os.fork the child's loops are reset by themselves."
    ),
    # -- exceptions
    "exception_in_the_hook": Difference(
        ["KeyError"],
        ["KeyError", "ValueError"],
        "What the hook failed to report is printed as well.",
    ),
    "fatal_of_a_bound_method": Difference(
        "AttributeError", None, "What takes no attribute is wrapped."
    ),
    "fatal_of_a_builtin": Difference(
        "AttributeError", None, "What takes no attribute is wrapped."
    ),
    "fatal_traceback_library_frames": Difference(
        0, 1, "The library is in Python; newer CPythons let it hide.", HAS_LIBRARY_FRAME
    ),
    "fatal_ends_all_nested_runs": Difference(
        [[None], [["ValueError", "outer"]], ["outer"]],
        [["ValueError: TEST"], [], ["outer"]],
        "A fatal exception is raised by the outermost start(), not lost on the way.",
    ),
    "fatal_with_others_pending": Difference(
        [
            [None],
            [["SystemError", "callback"]],
            ["rest 0", "rest 1"],
            ["rest 0", "rest 1"],
        ],
        [["ValueError: TEST"], [], [], ["rest 0", "rest 1"]],
        "Nothing runs after a fatal exception; the next start() delivers what is left.",
    ),
    "fatal_twice": Difference(
        [["KeyError", None], []],
        [["ValueError", "KeyError"], []],
        "The first ends the run; the next start() comes to the second.",
    ),
    "error_event_stops_the_watcher": Difference(
        True, False, "The specification says that the watcher is stopped."
    ),
    "error_event_with_others_pending": Difference(
        False, True, "An error is kept, whatever else is called afterwards."
    ),
    "error_event_warns": Difference(
        ["RuntimeWarning"], [], "The exception says which watcher was stopped, and why."
    ),
    # -- programs
    "program_pyev_debug": Difference(
        [1, [], ["AttributeError: 'mood.event.Loop' object has no attribute 'debug'"]],
        [0, ["now False", "running True", "interrupted True", "1 False 2"], []],
        "A Loop takes attributes of the program's own, as in pyev programs.",
    ),
    "program_pyev_stat": Difference(
        [1, [], ["AttributeError: module 'mood.event' has no attribute 'Stat'"]],
        [
            0,
            [
                "True False -> True",
                "0 -> 4",
                "True True -> True",
                "4 -> 13",
                "True True -> False",
                "False False",
            ],
            [],
        ],
        "pyev has Stat watchers, and so has this.",
    ),
}
