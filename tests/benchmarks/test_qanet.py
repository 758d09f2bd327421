"""QANet, a peer in the benchmarks: its attention by the formula, padding and neighbours without influence."""

import pytest
import torch
from torch import nn

qanet = pytest.importorskip("qanet", reason="benchmarks/ belongs to the repository, not to the package")
LOWEST = torch.finfo(torch.float32).min
LENGTHS = [(4, 9), (7, 3), (2, 12)]  # tokens of questions with both marks, and of passages


def network(**options):
    torch.manual_seed(0)
    return qanet.QANet(30, 20, width=16, embedding_size=8, heads=2, blocks=2, **options).eval()


def batch(lengths=LENGTHS, length=20):
    """Questions of these lengths, right-padded."""
    generator = torch.Generator().manual_seed(1)
    columns = {name: torch.zeros(len(lengths), length, dtype=torch.long) for name in
               ("input_ids", "attention_mask", "token_type_ids", "word_input_ids")}  # fmt: skip
    for row, (question, passage) in enumerate(lengths):
        whole = question + passage
        columns["input_ids"][row, :whole] = torch.randint(1, 30, (whole,), generator=generator)
        columns["word_input_ids"][row, :whole] = torch.randint(1, 20, (whole,), generator=generator)
        columns["attention_mask"][row, :whole] = 1
        columns["token_type_ids"][row, question:whole] = 1
    return columns


def test_scores_stand_at_the_passage_and_the_first_token():
    output = network()(**batch())
    for logits in (output.start_logits, output.end_logits):
        assert logits.shape == (3, 20)
        for row, (question, passage) in enumerate(LENGTHS):
            allowed = {0, *range(question, question + passage)}
            assert {i for i in range(20) if logits[row, i] > LOWEST} == allowed


def test_a_question_does_not_depend_on_padding_and_neighbours():
    model, together = network(), network()(**batch())
    for row, (question, passage) in enumerate(LENGTHS):
        whole = question + passage
        alone = model(**{name: column[row : row + 1, :whole] for name, column in batch().items()})
        torch.testing.assert_close(alone.start_logits, together.start_logits[row : row + 1, :whole])
        torch.testing.assert_close(alone.end_logits, together.end_logits[row : row + 1, :whole])


def test_what_padding_holds_is_not_read():
    columns = batch()
    expected = network()(**columns)
    padding = columns["attention_mask"] == 0
    changed = {name: columns[name].masked_fill(padding, 5) for name in ("input_ids", "word_input_ids")}
    output = network()(**columns | changed)
    torch.testing.assert_close(output.start_logits, expected.start_logits, rtol=0, atol=0)
    torch.testing.assert_close(output.end_logits, expected.end_logits, rtol=0, atol=0)


def test_the_question_is_read():
    columns = batch()
    changed = columns["input_ids"].clone()
    changed[0, 1] = changed[0, 1] % 29 + 1
    before, after = network()(**columns), network()(**columns | {"input_ids": changed})
    assert (before.start_logits[0, 4:13] - after.start_logits[0, 4:13]).abs().max() > 1e-5
    torch.testing.assert_close(before.start_logits[1:], after.start_logits[1:])


def test_attention_is_that_of_the_paper():
    """Equations of section 2.2, one pair of places at a time, in float64."""
    model = network().double()
    c, q = torch.randn(5, 16, dtype=torch.float64), torch.randn(3, 16, dtype=torch.float64)
    w = torch.cat([layer.weight[0] for layer in (model.of_passage, model.of_question, model.of_both)])
    s = torch.stack([torch.stack([w @ torch.cat([c_i, q_j, c_i * q_j]) for q_j in q]) for c_i in c])  # (5, 3)
    rows, columns = s.exp() / s.exp().sum(1, keepdim=True), s.exp() / s.exp().sum(0)
    a, b = rows @ q, rows @ columns.T @ c
    expected = torch.cat([c, a, c * a, c * b], dim=1)
    masks = torch.tensor([[True] * 5 + [False] * 2]), torch.tensor([[True] * 3 + [False]])
    padded_c, padded_q = nn.functional.pad(c, (0, 0, 0, 2), value=3.0), nn.functional.pad(q, (0, 0, 0, 1), value=3.0)
    found = model._attend(padded_c[None], padded_q[None], *masks)[0, :5]
    torch.testing.assert_close(found, expected)


def test_the_same_blocks_are_used_three_times(monkeypatch):
    model, calls = network(), []
    for number, block in enumerate(model.model_encoder):
        block.register_forward_hook(lambda *_, number=number: calls.append(number))
    model(**batch())
    assert calls == [0, 1, 0, 1, 0, 1]


def test_loss_and_gradients():
    model = network()
    labels = {"start_positions": torch.tensor([5, 0, 3]), "end_positions": torch.tensor([6, 0, 9])}
    output = model(**batch(), **labels)
    log_start, log_end = (logits.log_softmax(1) for logits in (output.start_logits, output.end_logits))
    rows = torch.arange(3)
    expected = -(log_start[rows, labels["start_positions"]] + log_end[rows, labels["end_positions"]]).mean() / 2
    torch.testing.assert_close(output.loss, expected)
    output.loss.backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_later_parts_are_left_out_more_often():
    torch.manual_seed(0)
    block = qanet.EncoderBlock(8, 2, 2, 3, dropout=0.0)
    x, mask, counts = torch.randn(1, 4, 8), torch.ones(1, 4, dtype=torch.bool), [0] * 4
    for number, part in enumerate(block.parts):
        part.register_forward_hook(lambda *_, number=number: counts.__setitem__(number, counts[number] + 1))
    for _ in range(2000):
        block(x, mask)
    expected = torch.tensor([0.975, 0.95, 0.925, 0.9])
    # Four standard deviations of 2000 throws.
    assert (torch.tensor(counts) / 2000 - expected).abs().max() < 4 * (0.9 * 0.1 / 2000) ** 0.5
    block.eval()
    torch.testing.assert_close(block(x, mask), block(x, mask), rtol=0, atol=0)


def test_it_learns_where_the_answer_is():
    """Ten questions by heart: the loss falls to a tenth."""
    torch.manual_seed(0)
    model = qanet.QANet(30, 0, width=16, embedding_size=16, heads=2, blocks=1, dropout=0.0).train()
    columns = batch([(4, 12)] * 10)
    columns.pop("word_input_ids")
    labels = {"start_positions": torch.arange(10) % 8 + 4, "end_positions": torch.arange(10) % 8 + 6}
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        loss = model(**columns, **labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) / 5 < losses[0] / 10
