"""The type checker: class level. Method bodies are in `bodies`, control flow in `flow`."""

from __future__ import annotations

from phonepl import diagnostics as d
from phonepl import syntax as s
from phonepl.bodies import BodyChecker, plural
from phonepl.flow import check_flow
from phonepl.members import Members
from phonepl.syntax import Span
from phonepl.types import Checked, Route, StreamField, Type


def check(program: s.Program, source: str, file: str = "<source>") -> Checked:
    """The checked program; raises ProgramError with every diagnostic found."""
    checker = _Checker(program, source, file)
    checker.run()
    if checker.found:
        raise d.ProgramError(checker.found, source, file)
    return checker.checked


class _Checker:
    def __init__(self, program: s.Program, source: str, file: str) -> None:
        self.found: list[d.Diagnostic] = []
        self.checked = Checked(source, file, program)
        self._members = Members(self.checked, self.found)
        self._bodies = BodyChecker(self._members)
        self._bound: dict[str, tuple[str, Span]] = {}  # stream field → constructor parameter

    def _say(self, diagnostic: d.Diagnostic) -> None:
        self.found.append(diagnostic)

    def run(self) -> None:
        program, checked = self.checked.program, self.checked
        self._imports(program)
        if not program.classes:
            last = program.imports[-1].span if program.imports else s.NOWHERE
            self._say(d.NoClass(last))
            return
        the_class = program.classes[0]
        for extra in program.classes[1:]:
            related = d.Related(the_class.name.span, f"`{the_class.name.text}` is the program's class")
            self._say(d.SeveralClasses(extra.name.span, related, name=extra.name.text))
        checked.class_name = the_class.name.text
        self._methods(the_class)
        self._fields(the_class)
        constructor = self._constructor(the_class)
        self._main(the_class, constructor)
        for method in the_class.methods:
            if method.name.text != "main":
                self._method(method)
        self._recursion(the_class)
        if not self.found:
            for method in checked.methods.values():
                self.found.extend(check_flow(method, checked))

    # ── declarations ──

    def _imports(self, program: s.Program) -> None:
        seen: dict[str, s.Import] = {}
        for item in program.imports:
            name = item.name.text
            if name in seen:
                self._say(d.DuplicateName(item.name.span, _first(seen[name].name), name=name))
                continue
            seen[name] = item
            self._members.streams[name] = item.name.span
        self.checked.streams = tuple(seen)

    def _methods(self, the_class: s.Class) -> None:
        for method in the_class.methods:
            name = method.name.text
            if name in self._members.methods:
                first = self._members.methods[name].name
                self._say(d.DuplicateName(method.name.span, _first(first), name=name))
                continue
            self._members.methods[name] = method
            if name != "main":
                self.checked.methods[name] = method

    def _fields(self, the_class: s.Class) -> None:
        for field in the_class.fields:
            name = field.name.text
            if name in self._members.declared:
                self._say(
                    d.DuplicateName(field.name.span, _first(self._members.declared[name].name), name=name)
                )
                continue
            self._members.declared[name] = field
        for field in list(self._members.declared.values()):
            self._members.resolve_field(field)

    # ── the constructor: parameters route packets, the body stores streams ──

    def _constructor(self, the_class: s.Class) -> s.Constructor | None:
        for extra in the_class.constructors[1:]:
            related = d.Related(the_class.constructors[0].name.span, "the first one is here")
            self._say(d.SeveralConstructors(extra.name.span, related))
        constructor = the_class.constructors[0] if the_class.constructors else None
        if constructor is not None:
            self._constructor_parameters(the_class, constructor)
            self._constructor_body(constructor)
        for name, span in self._members.stream_fields.items():
            if name not in self._bound:
                self._say(d.StreamFieldUnset(span, name=name))
        return constructor

    def _constructor_parameters(self, the_class: s.Class, constructor: s.Constructor) -> None:
        if constructor.name.text != the_class.name.text:
            related = d.Related(the_class.name.span, "the class is named here")
            self._say(
                d.ConstructorName(
                    constructor.name.span, related, name=the_class.name.text, found=constructor.name.text
                )
            )
        seen: dict[str, s.Parameter] = {}
        for parameter in constructor.parameters:
            if parameter.name.text in seen:
                first = _first(seen[parameter.name.text].name)
                self._say(d.DuplicateName(parameter.name.span, first, name=parameter.name.text))
            seen[parameter.name.text] = parameter
            kind = self._members.type_named(parameter.type)
            if kind is not None and kind is not Type.STREAM:
                if parameter.handler:
                    name, handler = parameter.name.text, parameter.handler.text
                    self._say(
                        d.RouteOfOther(parameter.type.span, type=kind.value, name=name, handler=handler)
                    )
                else:
                    self._say(d.ConstructorParameter(parameter.type.span, type=kind.value))
            if parameter.handler:
                self._handler(parameter.handler)

    def _handler(self, handler: s.Identifier) -> None:
        method = self._members.methods.get(handler.text)
        if method is None:
            self._say(d.UnknownHandler(handler.span, name=handler.text))
            return
        self.checked.definitions[handler] = method.name.span
        takes_packet = [p.type.name for p in method.parameters] == ["Packet"] and not method.parameters[
            0
        ].type.is_array
        if not takes_packet or method.result is not None or handler.text == "main":
            related = d.Related(method.name.span, f"`{handler.text}` is declared here")
            self._say(d.HandlerSignature(handler.span, related, name=handler.text))

    def _constructor_body(self, constructor: s.Constructor) -> None:
        parameters = {p.name.text: p for p in constructor.parameters}
        for statement in constructor.body.statements:
            if isinstance(statement, s.Empty):
                continue
            match statement:
                case s.ExpressionStatement(
                    expression=s.Assignment(operator="=", target=target, value=s.Name() as value)
                ) if value.identifier in parameters:
                    self._store(target, value, parameters)
                case _:
                    self._say(d.ConstructorStatement(statement.span))

    def _store(self, target: s.Expression, value: s.Name, parameters: dict[str, s.Parameter]) -> None:
        if isinstance(target, s.Member) and isinstance(target.object, s.This):
            name = target.name.text
        elif isinstance(target, s.Name) and target.identifier not in parameters:
            name = target.identifier
        else:
            self._say(d.ConstructorStatement(target.span))
            return
        self.checked.definitions[value] = parameters[value.identifier].name.span
        if name in self._members.stream_fields:
            self.checked.definitions[target] = self._members.stream_fields[name]
            if name in self._bound:
                related = d.Related(self._bound[name][1], "it is set here")
                self._say(d.StreamFieldTwice(target.span, related, name=name))
            self._bound[name] = (value.identifier, target.span)
        elif name in self._members.declared:
            self._say(d.ConstructorStatement(target.span))
        else:
            advice = f"write private NetStream {name}; in the class"
            self._say(d.UnknownName(target.span, name=name, advice=advice))

    # ── main: binds imported streams to the constructor's parameters ──

    def _main(self, the_class: s.Class, constructor: s.Constructor | None) -> None:
        main = self._members.methods.get("main")
        if main is None:
            self._say(d.NoMain(the_class.name.span, name=the_class.name.text))
            return
        if main.parameters or main.result is not None:
            self._say(d.MainSignature(main.name.span))
        named: dict[str, tuple[str, Span]] = {}
        made: list[s.NewObject] = []
        for statement in main.body.statements:
            match statement:
                case s.Empty():
                    pass
                case s.ExpressionStatement(expression=s.NewObject() as new) if self._is_class(new):
                    made.append(new)
                case s.LocalDeclaration():
                    self._main_local(statement, named, made)
                case _:
                    self._say(d.MainStatement(statement.span, name=the_class.name.text))
        bad_statement = any(isinstance(item, d.MainStatement) for item in self.found)
        if len(made) != 1 and not (not made and bad_statement):
            span = made[1].span if made else main.name.span
            self._say(d.MainInstances(span, name=the_class.name.text, count=len(made)))
        if made:
            self._instance(made[0], constructor, named)

    def _is_class(self, new: s.NewObject) -> bool:
        return new.type.name == self.checked.class_name

    def _main_local(
        self, declaration: s.LocalDeclaration, named: dict[str, tuple[str, Span]], made: list[s.NewObject]
    ) -> None:
        for declarator in declaration.declarators:
            value, kind = declarator.value, declaration.type.name
            if isinstance(value, s.NewObject) and self._is_class(value) and kind == self.checked.class_name:
                made.append(value)
                continue
            if not (kind == "NetStream" or kind in self._members.streams) or value is None:
                self._say(d.MainStatement(declaration.span, name=self.checked.class_name))
                continue
            stream = self._stream(value, named)
            name = declarator.name
            if name.text in named:
                related = d.Related(named[name.text][1], "the first one is here")
                self._say(d.DuplicateName(name.span, related, name=name.text))
            elif stream is not None:
                named[name.text] = (stream, name.span)

    def _stream(self, e: s.Expression, named: dict[str, tuple[str, Span]]) -> str | None:
        """The import that an expression of main names; None after saying what is wrong."""
        if isinstance(e, s.Name) and e.identifier in named:
            self.checked.types[e] = Type.STREAM
            self.checked.definitions[e] = named[e.identifier][1]
            return named[e.identifier][0]
        if isinstance(e, s.NewObject):
            name = e.type.name
            if name in self._members.streams and not e.arguments:
                self.checked.types[e] = Type.STREAM
                self.checked.definitions[e.type] = self._members.streams[name]
                return name
            if name in self._members.streams:
                said = f"new {name}()"
                self._say(
                    d.ArgumentCount(
                        e.span, name=name, expected="no arguments", found=len(e.arguments), signature=said
                    )
                )
                return None
            self._say(d.UnknownStream(e.type.span, name=name))
            return None
        if isinstance(e, s.Name):
            if e.identifier in self._members.streams:
                advice = f"write new {e.identifier}()"
            else:
                advice = "write new STREAM() with an imported stream"
            self._say(d.UnknownName(e.span, name=e.identifier, advice=advice))
        else:
            self._say(d.MainStatement(e.span, name=self.checked.class_name))
        return None

    def _instance(
        self, new: s.NewObject, constructor: s.Constructor | None, named: dict[str, tuple[str, Span]]
    ) -> None:
        parameters = constructor.parameters if constructor else ()
        if constructor:
            self.checked.definitions[new.type] = constructor.name.span
        streams = [self._stream(argument, named) for argument in new.arguments]
        if len(streams) != len(parameters):
            listed = ", ".join(f"new {p.name.text.upper()}()" for p in parameters)
            self._say(
                d.ArgumentCount(
                    new.span,
                    d.Related(constructor.name.span, "the constructor is declared here")
                    if constructor
                    else None,
                    name=new.type.name,
                    expected=plural(len(parameters)),
                    found=len(streams),
                    signature=f"new {new.type.name}({listed})",
                )
            )
            return
        given = dict(zip((p.name.text for p in parameters), streams, strict=True))
        routed: dict[str, Span] = {}
        for parameter, argument, stream in zip(parameters, new.arguments, streams, strict=True):
            if stream is None or parameter.handler is None:
                continue
            if stream in routed:
                related = d.Related(routed[stream], "they go to a method here")
                self._say(d.StreamHandledTwice(argument.span, related, name=stream))
                continue
            routed[stream] = argument.span
            self.checked.routes += (Route(stream, parameter.handler.text, parameter.span),)
        for name, span in self._members.stream_fields.items():
            stream = given.get(self._bound[name][0]) if name in self._bound else None
            # A field without a stream was complained about above; any name keeps the bodies checkable.
            self._members.known[name] = StreamField(name, stream or name, span)

    # ── methods ──

    def _method(self, method: s.Method) -> None:
        if self.checked.methods.get(method.name.text) is not method:
            return
        self._bodies.method(method)

    def _recursion(self, the_class: s.Class) -> None:
        calls: dict[str, list[tuple[str, Span]]] = {name: [] for name in self.checked.methods}
        for name, method in self.checked.methods.items():
            waiting: list[s.Node] = [method.body]
            while waiting:
                node = waiting.pop()
                if isinstance(node, s.Call) and (node.object is None or isinstance(node.object, s.This)):
                    calls[name].append((node.name.text, node.span))
                waiting.extend(node.children())
        reported: set[str] = set()
        for start in calls:
            path = self._cycle(start, calls)
            if path is None or reported & set(path):
                continue
            reported |= set(path)
            span = next(span for callee, span in calls[path[-1]] if callee == start)
            through = f" through `{'`, `'.join(path[1:])}`" if len(path) > 1 else ""
            related = d.Related(self.checked.methods[start].name.span, f"`{start}` is declared here")
            self._say(d.Recursion(span, related, name=start, through=through))

    def _cycle(self, start: str, calls: dict[str, list[tuple[str, Span]]]) -> list[str] | None:
        """The methods from `start` back to it, without the last `start`."""
        waiting, seen = [[start]], {start}
        while waiting:
            path = waiting.pop(0)
            for callee, _ in calls.get(path[-1], []):
                if callee == start:
                    return path
                if callee not in seen:
                    seen.add(callee)
                    waiting.append([*path, callee])
        return None


def _first(name: s.Identifier) -> d.Related:
    return d.Related(name.span, f"the first `{name.text}` is here")
