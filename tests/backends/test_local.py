import asyncio
import gc
import io
import json
import os
import threading
import weakref
from contextlib import aclosing
from dataclasses import replace

import numpy as np
import pytest
import torch
import toy_text
from clips import frames_of
from PIL import Image
from safetensors.torch import save_file
from tiny import (
    CONFIG,
    answer_of,
    events_of,
    inspection_of,
    local_backend,
    make_task,
    tiny_encoder,
    tiny_model,
)

from omnireel.api.fal.output import tubelet_reports
from omnireel.errors import Cancelled, CheckpointError, GenerationError, InputError
from omnireel.model.vision.prune import keep_mask
from omnireel.prompting.encoding import PromptEncoder
from omnireel.prompting.layout import lay_out_prompt, time_labels
from omnireel.task import Answer, Delta, ExpectedTime, MediaOptions, Progress, Usage
from omnireel.text.chat import ChatTemplate, video_messages
from omnireel.text.tokenizer import Tokenizer
from omnireel.video.patch_grid import target_grid
from omnireel.video.reader.frames import open_clip
from omnireel.video.tubelets import PixelSpec, tubelet_batches

# 160x90 at a target of 32 patches: 4 rows of 8, so 8 vision tokens per tubelet; 6 frames are 3 tubelets.
PER_TUBELET, NUM_TUBELETS = 8, 3


@torch.inference_mode()
def greedy_without_engine(model, directory, clip, task, count):
    """The same answer without backend, engine or cache: each token takes one forward pass over the whole sequence."""
    tokenizer = Tokenizer.from_directory(directory)
    spec = PixelSpec(32, 16, 2, model.config.norm_mean, model.config.norm_std)
    with open_clip(clip) as reader:
        frames = [frame.rgb for frame in reader.read_frames()]
        labels = time_labels(reader.facts.indices, reader.facts.source_fps)
    tokens = model.encode_video(
        torch.cat([batch.pixels for batch in tubelet_batches(frames, *target_grid(160, 90, 32), spec)])
    )
    kept = keep_mask(tokens, 0.5)
    pieces = ChatTemplate.from_directory(directory).render(
        video_messages(task.prompt, system_prompt=None, thinking=task.thinking), enable_thinking=task.thinking
    )
    ids = torch.tensor(lay_out_prompt(pieces, labels, kept.flatten(1).sum(1).tolist(), tokenizer).ids)
    x = model.embed_prompt(ids, tokens[kept], ids == 18)
    chosen = []
    while len(chosen) < count:
        hidden = model.forward_hidden(x[None], model.new_state())
        chosen.append(int(model.logits(hidden[0, -1]).argmax()))
        x = torch.cat([x, model.embed(torch.tensor(chosen[-1:]))])
    text = b"".join(map(tokenizer.token_bytes, chosen)).decode("utf-8", "replace")
    return text, len(ids)


def test_the_answer_is_that_of_the_model(local, model, text_directory, clip):
    task = make_task(clip)
    text, num_prompt_tokens = greedy_without_engine(model, text_directory, clip, task, 12)
    answer = answer_of(local, task)
    assert answer.output == text.lstrip()
    assert answer.input_tokens == num_prompt_tokens
    assert (answer.finish_reason, answer.output_tokens) == ("length", 12)


def test_each_delta_has_the_number_of_tokens_so_far(local, clip):
    *events, answer = asyncio.run(events_of(local, make_task(clip)))
    counted = [event.usage for event in events if isinstance(event, Delta)]
    assert {usage.input_tokens for usage in counted} == {answer.input_tokens}
    assert [usage.output_tokens for usage in counted] == sorted({usage.output_tokens for usage in counted})
    assert counted[-1].output_tokens == answer.output_tokens


def test_progress_comes_in_the_order_of_the_stages(local, clip):
    events = asyncio.run(events_of(local, make_task(clip)))
    stages = [event.stage for event in events if isinstance(event, Progress)]
    assert stages == ["video"] * 8 + ["encoding", "vision tokens", "first token", "done"]
    messages = [event.message for event in events if isinstance(event, Progress)]
    assert messages[0] == "3.0 s of 160x90 mpeg4 at 10 fps, 6 of 30 frames chosen"
    assert messages[1].startswith("expected time: not known: no measured speed is kept yet")
    assert messages[8] == "3 of 3 tubelets encoded"
    assert messages[9] == "24 vision tokens, 12 kept where the picture changes"
    assert [type(event) for event in events[-2:]] == [Progress, Answer]


def test_progress_is_told_after_each_batch_of_tubelets_and_each_chunk_of_the_prompt(
    model, text_directory, clip
):
    backend = backend_of(model, text_directory, max_tubelets=1, prefill_chunk=32)
    events = asyncio.run(events_of(backend, make_task(clip)))
    num_prompt_tokens = events[-1].input_tokens
    by_stage = {
        stage: [e for e in events if getattr(e, "stage", "") == stage] for stage in ("encoding", "prompt")
    }
    assert [event.message for event in by_stage["encoding"]] == [
        "1 of 3 tubelets encoded",
        "2 of 3 tubelets encoded",
        "3 of 3 tubelets encoded",
    ]
    chunks = range(32, num_prompt_tokens, 32)
    assert [event.message for event in by_stage["prompt"]] == [
        f"{n} of {num_prompt_tokens} prompt tokens read" for n in chunks
    ]
    assert [event.fraction for event in by_stage["prompt"]] == [n / num_prompt_tokens for n in chunks]
    assert [event.usage for event in by_stage["prompt"]] == [Usage(n, 0) for n in chunks]
    asyncio.run(backend.close())


def test_the_expected_time_is_known_once_the_model_has_answered(model, text_directory, clip):
    backend = backend_of(model, text_directory)
    assert inspection_of(backend, make_task(clip)).expected == ExpectedTime()
    answer_of(backend, make_task(clip))
    expected = inspection_of(backend, make_task(clip)).expected
    assert min(expected.encoding_s, expected.prefill_s, expected.token_s) > 0
    longer = inspection_of(backend, make_task(clip, "What moves? " * 20)).expected
    assert longer.encoding_s == expected.encoding_s
    assert longer.prefill_s > expected.prefill_s
    messages = [
        e.message for e in asyncio.run(events_of(backend, make_task(clip))) if isinstance(e, Progress)
    ]
    assert "for each token of the answer" in messages[1]
    asyncio.run(backend.close())


def test_the_answer_reports_the_frames_that_were_used(local, clip):
    video = answer_of(local, make_task(clip)).video
    assert video.frame_indices == (0, 5, 11, 17, 23, 29)
    assert video.frame_times_s == pytest.approx([0, 0.5, 1.1, 1.7, 2.3, 2.9])
    assert (video.num_vision_tokens, video.num_kept_tokens) == (24, 12)


@pytest.mark.parametrize(
    ("media", "before", "after"),
    [
        (MediaOptions(), 24, 12),
        (MediaOptions(video_pruning_rate=0), 24, 24),
        (MediaOptions(video_pruning_rate=0.9), 24, 8),
        (MediaOptions(fps=5), 64, 32),
        (MediaOptions(max_frames=3), 16, 8),
        (MediaOptions(start_s=2.5, video_pruning_rate=0), 8, 8),
    ],
)
def test_the_media_options_decide_what_the_model_sees(local, clip, media, before, after):
    task = make_task(clip, media=media)
    answer = answer_of(local, task)
    assert (answer.video.num_vision_tokens, answer.video.num_kept_tokens) == (before, after)
    inspection = inspection_of(local, task)
    assert inspection.input_tokens == answer.input_tokens
    assert inspection.video.frame_times_s == pytest.approx(answer.video.frame_times_s)
    only_known_afterwards = {"num_kept_per_tubelet": answer.video.num_kept_per_tubelet}
    expected = replace(inspection.video, frame_times_s=answer.video.frame_times_s, **only_known_afterwards)
    assert expected == answer.video


def test_the_kept_tokens_are_reported_for_each_tubelet(local, model, text_directory, clip):
    video = answer_of(local, make_task(clip)).video
    encoded = tiny_encoder(model, text_directory).encode(make_task(clip), [clip], lambda _: None)
    assert video.num_kept_per_tubelet == tuple(encoded.kept.flatten(1).sum(1).tolist())
    assert len(video.num_kept_per_tubelet) == 3
    assert video.num_kept_per_tubelet[0] == 8, "the first tubelet is kept whole"
    assert sum(video.num_kept_per_tubelet) == video.num_kept_tokens
    reports = list(tubelet_reports(video))
    assert [report["num_frames"] for report in reports] == [2, 2, 2]
    assert {report["vision_tokens"] for report in reports} == {8}
    odd = answer_of(local, make_task(clip, media=MediaOptions(max_frames=3))).video
    assert [report["num_frames"] for report in tubelet_reports(odd)] == [2, 1]


def test_pictures_are_of_the_frames_that_the_model_gets(local, clip):
    inspection = asyncio.run(local.inspect(make_task(clip), [clip], pictures=True))
    whole = frames_of(clip)
    assert [picture.index for picture in inspection.pictures] == [0, 5, 11, 17, 23, 29]
    assert [picture.time_s for picture in inspection.pictures] == list(inspection.video.frame_times_s)
    for picture in inspection.pictures:
        shown = np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB")).astype(int)
        assert shown.shape == (picture.height, picture.width, 3) == (90, 160, 3)
        assert np.abs(shown - whole[picture.index]).mean() < 4, "six bits a colour are kept"


def test_inspecting_encodes_nothing(local, model, clip):
    model.encode_video = None
    assert inspection_of(local, make_task(clip)).max_context == 768


@pytest.fixture
def set_output(model, text_directory):
    """A function that makes the model write a given text for any task. It returns the number of tokens."""

    def force_tokens(text):
        ids = Tokenizer.from_directory(text_directory).encode_markup(text)
        left = iter(ids)
        model.logits = lambda _: torch.nn.functional.one_hot(torch.tensor(next(left)), 320).float()
        return len(ids)

    return force_tokens


def test_an_answer_ends_at_the_stop_token(local, set_output, clip):
    num_tokens = set_output("Red é.<|im_end|>")
    answer = answer_of(local, make_task(clip))
    assert (answer.output, answer.reasoning, answer.finish_reason) == ("Red é.", None, "stop")
    assert answer.output_tokens == num_tokens


def test_a_stop_token_that_has_text_is_not_part_of_the_answer(model, set_output, clip, tmp_path):
    toy_text.write_text_files(tmp_path)
    (end,) = Tokenizer.from_directory(tmp_path).encode_text("!")
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": end}))
    backend = backend_of(model, tmp_path)
    set_output("Red!")
    answer = answer_of(backend, make_task(clip))
    assert (answer.output, answer.finish_reason) == ("Red", "stop")
    asyncio.run(backend.close())


def test_the_chain_of_thought_is_separated_from_the_answer(local, set_output, clip):
    set_output("A red é.\n</think>\nRed é.</s>")
    answer = answer_of(local, make_task(clip, thinking=True, sampling={"max_tokens": 99}))
    assert (answer.output, answer.reasoning) == ("<think>A red é.</think>Red é.", "A red é.")
    assert answer.finish_reason == "stop"


def test_a_chain_that_runs_out_of_tokens_leaves_no_answer(local, set_output, clip):
    set_output("A red square")
    answer = answer_of(local, make_task(clip, thinking=True, sampling={"max_tokens": 5}))
    assert (answer.output, answer.reasoning, answer.finish_reason) == ("<think>A red", "A red", "length")


@pytest.mark.parametrize("budget", [None, 50])
def test_a_turn_that_ends_in_the_chain_is_answered(local, set_output, clip, budget):
    closing = "\n</think>\n"  # three tokens: written in place of the stop token and of the two after it
    num_tokens = set_output("A red é.<|im_end|>..Red é.</s>")
    sampling = {"max_tokens": 99, "reasoning_budget": budget}
    answer = answer_of(local, make_task(clip, thinking=True, sampling=sampling))
    num_written = set_output(f"A red é.{closing}Red é.</s>")
    written = answer_of(local, make_task(clip, thinking=True, sampling=sampling))
    assert (answer.output, answer.reasoning) == ("<think>A red é.</think>Red é.", "A red é.")
    assert (answer.finish_reason, answer.output_tokens) == ("stop", num_tokens)
    assert (answer, num_tokens) == (written, num_written), "as if the model had closed the chain itself"


def test_a_turn_that_ends_in_the_chain_is_cut_where_the_tokens_run_out(local, set_output, clip):
    outputs = []
    for max_tokens in range(3, 8):
        set_output("A!<|im_end|>..Red é.</s>")
        answer = answer_of(local, make_task(clip, thinking=True, sampling={"max_tokens": max_tokens}))
        assert (answer.finish_reason, answer.output_tokens) == ("length", max_tokens)
        outputs.append(answer.output)
    assert outputs == ["<think>A!", *["<think>A!</think>"] * 2, "<think>A!</think>R", "<think>A!</think>Re"]


def test_a_stop_token_of_the_generation_config_closes_the_chain_too(model, set_output, clip, tmp_path):
    toy_text.write_text_files(tmp_path)
    (end,) = Tokenizer.from_directory(tmp_path).encode_text("!")
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [end]}))
    backend = backend_of(model, tmp_path)
    set_output("A red!..Red!")
    answer = answer_of(backend, make_task(clip, thinking=True, sampling={"max_tokens": 99}))
    assert (answer.output, answer.finish_reason) == ("<think>A red</think>Red", "stop")
    asyncio.run(backend.close())


def test_a_closing_tag_without_a_token_of_its_own_is_spelled_out(model, set_output, clip, tmp_path):
    toy_text.write_text_files(tmp_path)
    description = json.loads((tmp_path / "tokenizer.json").read_text())
    added = description["added_tokens"]
    added[:] = [token for token in added if token["content"] != "</think>"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(description))
    backend = backend_of(model, tmp_path)
    num_closing = len(Tokenizer.from_directory(tmp_path).encode_text("\n</think>\n"))
    set_output(f"A red<|im_end|>{'.' * (num_closing - 1)}Red.<|im_end|>")
    answer = answer_of(backend, make_task(clip, thinking=True, sampling={"max_tokens": 99}))
    assert (answer.output, answer.finish_reason) == ("<think>A red</think>Red.", "stop")
    asyncio.run(backend.close())


def test_a_reasoning_budget_ends_the_chain_and_the_answer_follows(local, clip, set_output):
    words = "A red é and a long tail of words, on and on and on."
    set_output(words)
    sampling = {"max_tokens": 20, "reasoning_budget": 5}
    answer = answer_of(local, make_task(clip, thinking=True, sampling=sampling))
    set_output(words)
    free = answer_of(local, make_task(clip, thinking=True, sampling={"max_tokens": 20}))
    assert free.reasoning.startswith(answer.reasoning)
    assert len(answer.reasoning) < len(free.reasoning)
    assert answer.output.startswith(f"<think>{answer.reasoning}</think>")
    assert not answer.output.endswith("</think>")
    assert answer.output_tokens == 20


def test_a_reasoning_budget_changes_nothing_without_thinking(local, clip):
    plain, limited = (
        answer_of(local, make_task(clip, sampling=sampling)) for sampling in ({}, {"reasoning_budget": 2})
    )
    assert plain.output == limited.output


def test_a_system_prompt_replaces_the_control_token_and_a_blank_one_does_not(local, clip):
    tokens = {
        s: answer_of(local, make_task(clip, system_prompt=s)).input_tokens for s in (None, " ", "/no_think!")
    }
    assert tokens[" "] == tokens[None] == tokens["/no_think!"] - 1


def test_every_sampling_parameter_reaches_the_engine(local, clip):
    usual = {"temperature": 1, "top_p": 1, "seed": 1, "max_tokens": 12}
    changes = [{}, {}, {"temperature": 0}, {"top_p": 0.1}, {"seed": 2}, {"max_tokens": 9}]
    first, again, *changed = (answer_of(local, make_task(clip, sampling=usual | c)).output for c in changes)
    assert first == again
    assert first not in changed


def test_a_prompt_over_the_context_is_refused_before_anything_is_encoded(local, model, clip):
    model.encode_video = None
    with pytest.raises(InputError, match="limit is 767") as caught:
        answer_of(local, make_task(clip, "x" * 700))
    assert (caught.value.kind, caught.value.about) == ("sequence_too_long", "prompt")
    with pytest.raises(InputError, match="limit is 767"):
        inspection_of(local, make_task(clip, "x" * 700))


def test_a_file_that_is_no_video_is_refused(local, tmp_path):
    (tmp_path / "notes.mp4").write_text("not a video")
    with pytest.raises(InputError) as caught:
        answer_of(local, make_task(tmp_path / "notes.mp4"))
    assert caught.value.kind == "unsupported_video_format"


def record_states(model):
    """Weak references to every state that the model makes."""
    states, make = [], model.new_state

    def new_state(*args, **kwargs):
        state = make(*args, **kwargs)
        states.append(weakref.ref(state))
        return state

    model.new_state = new_state
    return states


def test_closing_the_iterator_aborts_within_a_step_and_frees_the_state(local, model, clip):
    states = record_states(model)
    num_forwards, gate = [0], threading.Semaphore(0)
    forward = model.forward_hidden

    def gated(x, state):
        gate.acquire(timeout=10)
        num_forwards[0] += 1
        return forward(x, state)

    model.forward_hidden = gated

    async def leave_after_the_first_token():
        gate.release()
        async with aclosing(local.generate(make_task(clip, sampling={"max_tokens": 500}), [clip])) as events:
            async for event in events:
                if isinstance(event, Progress) and event.stage == "first token":
                    break

    asyncio.run(leave_after_the_first_token())
    gate.release(999)
    assert answer_of(local, make_task(clip)).output_tokens == 12
    assert num_forwards[0] <= 2 + 12, "the prefill, at most one more step, then the steps of the next task"
    gc.collect()
    assert [state() for state in states] == [None, None]


def test_closing_while_frames_are_encoded_stops_the_encoding(model, text_directory, clip):
    calls, entered, gate = [], threading.Event(), threading.Event()
    encode = model.encode_video

    def slow(tubelets):
        calls.append(len(tubelets))
        entered.set()
        gate.wait(10)
        return encode(tubelets)

    model.encode_video = slow
    backend = backend_of(model, text_directory, max_tubelets=1)

    async def leave_while_encoding():
        task = asyncio.create_task(events_of(backend, make_task(clip)))
        await asyncio.to_thread(entered.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave_while_encoding())
    gate.set()
    answer_of(backend, make_task(clip))
    assert len(calls) == 1 + NUM_TUBELETS
    asyncio.run(backend.close())


def backend_of(model, directory, *, max_tubelets=8, prefill_chunk=512):
    encoder = tiny_encoder(model, directory, max_tubelets=max_tubelets)
    return local_backend(encoder, prefill_chunk=prefill_chunk)


@pytest.mark.parametrize("options", [{"max_tubelets": 1}, {"prefill_chunk": 7}])
def test_batch_sizes_change_no_answer(model, local, text_directory, clip, options):
    backend = backend_of(model, text_directory, **options)
    assert answer_of(backend, make_task(clip)).output == answer_of(local, make_task(clip)).output
    asyncio.run(backend.close())


def test_a_failing_model_fails_the_task_and_the_next_one_is_answered(local, model, clip):
    forward, model.forward_hidden = model.forward_hidden, None
    with pytest.raises(GenerationError, match="The model failed") as caught:
        answer_of(local, make_task(clip))
    assert caught.value.kind == "internal_server_error"
    assert isinstance(caught.value.__cause__, TypeError)
    model.forward_hidden = forward
    assert answer_of(local, make_task(clip)).output_tokens == 12


def test_tasks_at_the_same_time_are_all_answered(local, clip):
    async def together():
        tasks = [make_task(clip, f"What moves {n}?") for n in range(3)]
        return await asyncio.gather(*(events_of(local, task) for task in tasks))

    together_outputs = [events[-1].output for events in asyncio.run(together())]
    alone = [answer_of(local, make_task(clip, f"What moves {n}?")).output for n in range(3)]
    assert together_outputs == alone


def test_closing_the_backend_fails_the_task_that_is_being_answered(local, clip):
    async def close_after_the_first_token():
        async with aclosing(local.generate(make_task(clip, sampling={"max_tokens": 500}), [clip])) as events:
            async for event in events:
                if isinstance(event, Delta):
                    await local.close()

    assert asyncio.run(local.health()).is_ready
    with pytest.raises(GenerationError):
        asyncio.run(close_after_the_first_token())
    health = asyncio.run(local.health())
    assert (health.is_ready, health.model, health.detail) == (False, "tiny", "The engine has stopped.")


def test_closing_the_backend_cancels_a_task_that_has_not_begun(model, text_directory, clip):
    entered, gate = threading.Event(), threading.Event()
    encode = model.encode_video

    def slow(tubelets):
        entered.set()
        gate.wait(10)
        return encode(tubelets)

    model.encode_video = slow
    backend = backend_of(model, text_directory)

    async def close_in_the_middle():
        num_read = len(os.sched_getaffinity(0))
        tasks = [asyncio.create_task(events_of(backend, make_task(clip))) for _ in range(num_read + 1)]
        await asyncio.to_thread(entered.wait)
        await backend.close()
        gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    being_encoded, *_, queued = asyncio.run(close_in_the_middle())
    assert isinstance(being_encoded, GenerationError)
    assert isinstance(queued, Cancelled)


def test_a_checkpoint_directory_is_loaded(local, model, clip, tmp_path):
    toy_text.write_text_files(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    save_file(
        {name: t.contiguous() for name, t in model.state_dict().items()}, tmp_path / "model.safetensors"
    )
    loaded = local_backend(PromptEncoder.load(tmp_path, dtype=torch.float32), name=tmp_path.name)
    assert answer_of(loaded, make_task(clip)).output == answer_of(local, make_task(clip)).output
    assert asyncio.run(loaded.health()).model == tmp_path.name
    asyncio.run(loaded.close())


def test_a_tokenizer_of_another_checkpoint_is_refused(text_directory):
    with pytest.raises(CheckpointError, match="<image>"):
        backend_of(tiny_model(img_context_token_id=19), text_directory)


@pytest.mark.parametrize(
    "media", [{}, {"max_frames": 3}, {"fps": 10.0, "max_frames": 8}, {"video_pruning_rate": 0.0}]
)
def test_no_answer_uses_more_tokens_than_the_limit_counted_before(local, clip, media):
    task = make_task(clip, "What <|im_end|> moves? é漢字", media=MediaOptions(**media))
    answer = answer_of(local, task)
    assert answer.input_tokens + answer.output_tokens <= local.most_tokens(task)
