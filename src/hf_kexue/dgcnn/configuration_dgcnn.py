"""Configuration of the dilated gated CNN (DGCNN) of kexue.fm: its trunk and the shape of its heads.

Source: kexue.fm/archives/5409 (2018, reading comprehension), /6671 (2019, triples), /6906 (2019, open-source reader).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from transformers import GenerationConfig, PreTrainedConfig

from .strict_loading import refuse_unknown_fields

if TYPE_CHECKING:  # so that editors and type checkers know the fields as arguments
    from dataclasses import dataclass as strict
else:
    from huggingface_hub.dataclasses import strict

POSITIONS = ("none", "sinusoidal", "learned")
SUBJECT_ENCODERS = ("ends", "gru")
OUTPUTS = ("tagging", "span")
LOSSES = ("focal", "bce")
OF_TRANSFORMERS = {  # what it takes or writes itself, without being a field
    "attn_implementation", "auto_map", "custom_pipelines", "experts_implementation", "finetuning_task", "model_type",
    "name_or_path", "num_labels", "output_attentions", "per_layer_config", "pruned_heads", "quantization_config",
    "task_specific_params", "tokenizer_class", "torch_dtype", *GenerationConfig().to_dict(),
}  # fmt: skip


@strict
class DGCNNConfig(PreTrainedConfig):
    r"""Shape of a DGCNN. The defaults are the reader of 2019 (archives/6906), characters only.

    Args:
        vocab_size: character ids.
        hidden_size: D, width of embeddings and convolutions.
        dilations: dilation of each block of the trunk.
        patch_dilations: dilations of blocks before those of `dilations`, which read `patch_size` characters as one.
            Empty: none. Not of the articles.
        patch_size: characters of a patch.
        patch_hidden_size: width of the blocks on patches; 0: `hidden_size`.
        kernel_size: width of the convolutions, odd.
        gate_dropout: on the gate before the sigmoid, in training (2019).
        gate_noise: e ~ U[-gate_noise, gate_noise], the gate before the sigmoid times 1 + e, in training (2018, eq. 9).
        hidden_dropout: on the embeddings.
        position_embedding: of the reader `"none"` (2019) or `"sinusoidal"` (2018), concatenated to the passage before
            fusion; of triple extraction `"none"` or `"learned"` (6671), added to the embeddings.
        max_position_embeddings: longest row of `"learned"`.
        word_vocab_size: word ids; 0: characters alone. Above 0 the vector of the word that holds a character,
            projected to D without bias, is added to the character's vector (mixed embedding).
        word_embedding_size: width of the word vectors.
        freeze_word_embeddings: keep the word vectors as they are, as with vectors trained elsewhere.
        question_dilations: blocks of the question encoder.
        context_dilations: blocks of the passage before it meets the question, with weights shared with the first
            blocks of the question encoder; not of the articles (empty there).
        question_attention: every character of the passage attends to the question. Not of the articles.
        second_dilations: blocks after a second cross-attention: behind those of `dilations` every character of the
            passage attends to the question once more, and to the passage, with `num_attention_heads` heads. Empty:
            none. Not of the articles.
        conditional_end: end scores are conditioned on the start scores through one more block; with `output="span"`.
            Not of the articles.
        num_match_features: 8 for the features of 2018, 0 for none.
        feature_dropout: share of questions whose match features are all zero, in training: features that alone go far
            let the attention to the question learn little. Not of the articles.
        pointer_hidden_size: width of the tanh layer under the start and end scores (2018); 0: none (2019).
        output: `"tagging"`, the half pointer of the articles (a sigmoid for each character), or `"span"`, a softmax
            over the characters of a window. Not of the articles.
        loss: of `"tagging"`: `"focal"` (2019) or `"bce"`.
        focal_alpha: weight of the positives; the negatives have 1 - focal_alpha.
        focal_gamma: exponent of the focal loss.
        triple_schema: what `DGCNNForTripleExtraction` looks for, one entry for each predicate, in the order of their
            ids: `{"predicate": name, "subject_types": [names], "object_types": [names]}`; no names: any type.
        typed_subjects: subjects are tagged once for each subject type of the schema, and a predicate is looked for
            only beside subjects of its types. Not of the article.
        subject_encoder: code of a subject: `"ends"`, from its first and last character, or `"gru"`, a bidirectional
            GRU over six places between them (6671).
        num_attention_heads: of the self-attention beside the convolutions, 8 in 6671; 0: none. Of the reader, heads
            of the second cross-attention; 0: one.
        predicate_gate: multiply object scores by the probability that the text holds the predicate at all (6671).
        character_gate: multiply scores by probabilities that do not know the subject or predicate (6671).
        subject_power: n; a subject probability is sigmoid(x) ** n (archives/7161: 2).
        object_power: the same for objects (7161: 4).
        triple_prior: scores are conditioned on which memorised triples have both mentions in the text (6671).
        known_triple_scores: for each predicate how often a memorised triple holds where both its mentions stand in a
            text, in [0, 1]; the pipeline finds those of reliable predicates beside what the network does. None: it
            does not.
        object_dilations: blocks between the subject's code and the object scores. Not of the article.
        max_relative_position: distances to the subject above it count as it.
        max_answer_len: longest answer that the reader's pipeline returns unless a call overrides it; an ASCII letter
            or digit is 0.5, whitespace 0, another character 1.
        no_answer_threshold: score of the best span below which "no answer" wins, in (0, 1), where a call allows it.
        score_calibration: slope and intercept of the line from the logit of a span's score to that of the probability
            that it is right, which answers then name; None: unknown. `ReadingComprehensionPipeline.calibrate` fits
            both.
        triple_thresholds: probabilities that subject start, subject end, object start and object end must exceed.
        pooler_layers: residual perceptrons behind the attention pooling of `DGCNNModel`, which take the vector of a
            text to what stands for it elsewhere. Not of the articles.
        pooler_size: width of that vector; 0: `hidden_size`. Only with `pooler_layers`.
        sparse_prediction: `DGCNNForMaskedLM` with labels scores only the labelled characters: most of its arithmetic.
        initializer_range: standard deviation of embeddings at the start.

    Raises:
        huggingface_hub.errors.StrictDataclassError: for a value of another type, a size below 1, an even kernel, a
            name that is not known, an id beyond the vocabulary.
        ValueError: for a field that is not known.
    """

    model_type = "dgcnn"

    if TYPE_CHECKING:

        @classmethod
        def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Self: ...

    vocab_size: int = 8000
    hidden_size: int = 128
    dilations: list[int] | tuple[int, ...] = (1, 2, 4, 8, 16, 1)
    patch_dilations: list[int] | tuple[int, ...] = ()
    patch_size: int = 4
    patch_hidden_size: int = 0
    kernel_size: int = 3
    gate_dropout: float | int = 0.1
    gate_noise: float | int = 0.0
    hidden_dropout: float | int = 0.1
    position_embedding: str = "none"
    word_vocab_size: int = 0
    word_embedding_size: int = 128
    freeze_word_embeddings: bool = False
    question_dilations: list[int] | tuple[int, ...] = (1, 2, 1)
    context_dilations: list[int] | tuple[int, ...] = ()
    question_attention: bool = False
    second_dilations: list[int] | tuple[int, ...] = ()
    conditional_end: bool = False
    num_match_features: int = 0
    feature_dropout: float | int = 0.0
    pointer_hidden_size: int = 0
    output: str = "tagging"
    loss: str = "focal"
    focal_alpha: float | int = 0.25
    focal_gamma: float | int = 2.0
    max_position_embeddings: int = 512
    triple_schema: list[dict[str, Any]] | None = None
    typed_subjects: bool = False
    subject_encoder: str = "ends"
    num_attention_heads: int = 0
    predicate_gate: bool = False
    character_gate: bool = False
    subject_power: int = 1
    object_power: int = 1
    triple_prior: bool = False
    known_triple_scores: list[float] | tuple[float, ...] | None = None
    object_dilations: list[int] | tuple[int, ...] = ()
    max_relative_position: int = 64
    max_answer_len: float | int = 30
    no_answer_threshold: float = 0.5
    score_calibration: list[float] | tuple[float, ...] | None = None
    triple_thresholds: list[float] | tuple[float, ...] = (0.5, 0.4, 0.5, 0.4)
    pooler_layers: int = 0
    pooler_size: int = 0
    sparse_prediction: bool = False
    initializer_range: float | int = 0.02
    pad_token_id: int | None = 0
    mask_token_id: int | None = 3
    tie_word_embeddings: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        strange = (name for name in kwargs if name not in OF_TRANSFORMERS and not hasattr(PreTrainedConfig, name))
        refuse_unknown_fields("a DGCNN", strange, DGCNNConfig.__annotations__)
        super().__post_init__(**kwargs)

    def validate_architecture(self) -> None:
        """What the types alone cannot say."""
        positive = ("vocab_size", "hidden_size", "word_embedding_size", "max_position_embeddings", "patch_size",
                    "max_relative_position", "subject_power", "object_power")  # fmt: skip
        for name in positive:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        for name in ("word_vocab_size", "pointer_hidden_size", "num_attention_heads", "patch_hidden_size",
                     "pooler_layers", "pooler_size"):  # fmt: skip
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 (none) or a size, got {getattr(self, name)}.")
        if self.pooler_size and not self.pooler_layers:
            raise ValueError(f"pooler_size {self.pooler_size} needs pooler_layers of at least 1.")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, so that a block keeps the length, got {self.kernel_size}.")
        for name in ("dilations", "question_dilations", "context_dilations", "second_dilations",
                     "object_dilations", "patch_dilations"):  # fmt: skip
            if any(dilation < 1 for dilation in getattr(self, name)):
                raise ValueError(f"{name} must be dilations of at least 1, got {list(getattr(self, name))}.")
        shared = len(self.context_dilations)
        if list(self.question_dilations)[:shared] != list(self.context_dilations):
            raise ValueError(
                "the question encoder must begin with the blocks it shares with the passage: question_dilations "
                f"{list(self.question_dilations)} do not begin with context_dilations {list(self.context_dilations)}."
            )
        for name in ("gate_dropout", "hidden_dropout", "feature_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), got {getattr(self, name)}.")
        if not 0 <= self.gate_noise <= 1:
            raise ValueError(f"gate_noise must be in [0, 1], got {self.gate_noise}.")
        if not self.max_answer_len > 0:
            raise ValueError(f"max_answer_len must be positive, got {self.max_answer_len}.")
        if not 0 < self.no_answer_threshold < 1:
            raise ValueError(f"no_answer_threshold must be in (0, 1), got {self.no_answer_threshold}.")
        if self.score_calibration is not None and (len(self.score_calibration) != 2 or self.score_calibration[0] <= 0):
            raise ValueError(
                f"score_calibration must be a positive slope and an intercept, got {self.score_calibration}."
            )
        if not 0 <= self.focal_alpha <= 1:
            raise ValueError(f"focal_alpha must be in [0, 1], got {self.focal_alpha}.")
        for name in ("focal_gamma", "initializer_range"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}.")
        if self.pad_token_id is not None and not 0 <= self.pad_token_id < self.vocab_size:
            raise ValueError(f"pad_token_id must be below vocab_size ({self.vocab_size}), got {self.pad_token_id}.")
        if self.num_match_features not in (0, 8):
            raise ValueError(f"num_match_features must be 0 or 8, got {self.num_match_features}.")
        if self.conditional_end and self.output != "span":
            raise ValueError(f'conditional_end=True is for output="span", got output={self.output!r}.')
        if self.num_attention_heads and self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size ({self.hidden_size}) must be a multiple of num_attention_heads "
                f"({self.num_attention_heads})."
            )
        names = {"position_embedding": POSITIONS, "output": OUTPUTS, "loss": LOSSES,
                 "subject_encoder": SUBJECT_ENCODERS}  # fmt: skip
        for name, allowed in names.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}.")
        if len(self.triple_thresholds) != 4 or not all(0 <= value <= 1 for value in self.triple_thresholds):
            raise ValueError(f"triple_thresholds must be four numbers in [0, 1], got {list(self.triple_thresholds)}.")
        self._validate_schema()
        known, predicates = self.known_triple_scores, len(self.triple_schema or [])
        if known is not None and (len(known) != predicates or not all(0 <= score <= 1 for score in known)):
            raise ValueError(
                f"known_triple_scores must be a number in [0, 1] for each of the {predicates} predicates, got "
                f"{list(known)}."
            )

    def _validate_schema(self) -> None:
        seen: set[str] = set()
        for number, entry in enumerate(self.triple_schema or []):
            name = entry.get("predicate")
            if not isinstance(name, str) or not name:
                raise ValueError(f"entry {number} of triple_schema has no predicate: {entry!r}.")
            if name in seen:
                raise ValueError(f"triple_schema has the predicate {name!r} twice: one entry holds all its types.")
            seen.add(name)
            for key in ("subject_types", "object_types"):
                types = entry.get(key, [])
                if not isinstance(types, list) or not all(isinstance(item, str) for item in types):
                    raise ValueError(f"{key} of the predicate {name!r} must be a list of names, got {types!r}.")


__all__ = ["DGCNNConfig"]
