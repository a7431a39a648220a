"""Shared arrays: atomic reads and changes of elements."""

from __future__ import annotations

from phonepl import ir, traversal
from phonepl.targets.xdp.formulas import C_TYPE, binary
from phonepl.targets.xdp.places import NeedsScratch
from phonepl.targets.xdp.strings import Strings
from phonepl.targets.xdp.values import Number
from phonepl.types import MAXIMUM_STORED_STRING, Type

CELL = {Type.INT: "u32", Type.LONG: "u64"}
_ADDED = ("+", "-")


class Arrays(Strings):
    """Statements that touch an element."""

    def _element(self, array: ir.Array, index: ir.Expression, kind: str) -> None:
        self._emit("{")
        self.depth += 1
        self._emit(f"u32 index = {self._formulas.text(index)};")
        self._emit(f"{kind} *element = array_{array.name}.lookup(&index);")
        self._emit("if (!element)")
        self._trap("    ", "range_error")

    def _end_element(self) -> None:
        self.depth -= 1
        self._emit("}")

    def _load(self, statement: ir.Load) -> None:
        array = statement.array
        if array.element is Type.STRING:
            self._load_string(statement)
            return
        kind = self._number_element(array, statement.index)
        variable = self._variable(statement.target)
        place = "element->value" if array.name in self.locked else "*element"
        self._emit(f"{variable} = ({C_TYPE[array.element]})*(volatile {kind} *)&{place};")
        self._end_element()

    def _number_element(self, array: ir.Array, index: ir.Expression) -> str:
        kind = CELL[array.element]
        self._element(array, index, f"struct locked_{kind}" if array.name in self.locked else kind)
        return kind

    def _load_string(self, statement: ir.Load) -> None:
        text = self._texts[statement.target.name]
        if not text.indexed:
            raise NeedsScratch(statement.target.name)
        self._element(statement.array, statement.index, "struct string")
        into = self._buffer("element", MAXIMUM_STORED_STRING)
        length = self._own("n", "s32")
        self._emit("bpf_spin_lock(&element->lock);")
        self._emit(f"{length} = element->length;")
        self._emit(f"move({into}, element->bytes, {MAXIMUM_STORED_STRING});")
        self._emit("bpf_spin_unlock(&element->lock);")
        self._emit(f"move({text.address}, {into}, {-(-text.most // 8) * 8});")
        self._set_length(text, Number(length))
        self._end_element()

    def _store(self, statement: ir.Store) -> None:
        array = statement.array
        if array.element is Type.STRING:
            self._store_string(statement)
            return
        value = self._formulas.text(statement.value)
        kind = self._number_element(array, statement.index)
        if array.name in self.locked:
            self._emit(f"{kind} made = ({kind}){value};")
            self._emit("bpf_spin_lock(&element->lock);")
            self._emit("element->value = made;")
            self._emit("bpf_spin_unlock(&element->lock);")
        else:
            self._emit(f"*(volatile {kind} *)element = ({kind}){value};")
        self._end_element()

    def _store_string(self, statement: ir.Store) -> None:
        assert isinstance(statement.value, ir.Local | ir.Constant)
        text = self._text(statement.value)
        aside = self._buffer("element", MAXIMUM_STORED_STRING)
        length = self._own("n", "s32")
        self._emit(f"{length} = {text.length.text};")
        if text.length.value is not None:
            if text.length.value <= MAXIMUM_STORED_STRING:
                self._write(aside, text)
        else:
            self._emit(
                f"move({aside}, {text.address}, {min(-(-text.most // 8) * 8, MAXIMUM_STORED_STRING)});"
            )
        self._element(statement.array, statement.index, "struct string")
        self._emit("bpf_spin_lock(&element->lock);")
        self._emit(f"element->length = {length};")
        self._emit(f"move(element->bytes, {aside}, {MAXIMUM_STORED_STRING});")
        self._emit("bpf_spin_unlock(&element->lock);")
        self._end_element()

    def _update(self, statement: ir.Update) -> None:
        array, operator = statement.array, statement.operator
        target = self._variable(statement.target) if statement.target is not None else None
        operand = self._formulas.text(statement.operand)
        signed, wide = C_TYPE[array.element], C_TYPE[statement.width]
        kind = self._number_element(array, statement.index)
        if array.name not in self.locked:
            sign = "-" if operator == "-" else ""
            self._emit(f"{kind} by = {sign}({kind}){operand};")
            self._emit(f"{kind} old = fetch_add_{array.element.bits}(element, by);")
            new = "old + by"
        else:
            self._emit(f"{C_TYPE[statement.operand.type]} by = {operand};")
            new = binary(operator, f"(({wide})({signed})old)", "by", statement.width)
            self._emit("bpf_spin_lock(&element->lock);")
            self._emit(f"{kind} old = element->value, made = ({kind}){new};")
            self._emit("element->value = made;")
            self._emit("bpf_spin_unlock(&element->lock);")
            new = "made"
        if target:
            self._emit(f"{target} = ({signed})({new if statement.gives_new else 'old'});")
        self._end_element()


def locked_arrays(program: ir.Program) -> frozenset[str]:
    """The arrays whose elements need a lock: Strings, and what is changed by more than one instruction."""
    names = {array.name for array in program.arrays if array.element is Type.STRING}
    for handler in program.handlers:
        for statement in traversal.walk(handler.body):
            if isinstance(statement, ir.Update) and statement.operator not in _ADDED:
                names.add(statement.array.name)
    return frozenset(names)
