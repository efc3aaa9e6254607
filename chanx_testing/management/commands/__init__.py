"""``manage.py test``, as Django has it, on loops that can tell when they are idle."""
