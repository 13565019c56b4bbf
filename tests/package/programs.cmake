# What both consumers build, once kvtransfer's targets exist.

enable_testing()

add_executable(moves_keys "${CMAKE_CURRENT_LIST_DIR}/moves_keys.cpp")
target_link_libraries(moves_keys PRIVATE kvtransfer::kvtransfer)
add_test(NAME moves_keys COMMAND moves_keys)

add_executable(moves_keys_fused "${CMAKE_CURRENT_LIST_DIR}/moves_keys.cpp")
target_link_libraries(moves_keys_fused PRIVATE kvtransfer::compiled kvtransfer::kernels)
add_test(NAME moves_keys_fused COMMAND moves_keys_fused fused)

add_executable(opens_models "${CMAKE_CURRENT_LIST_DIR}/opens_models.cpp")
target_link_libraries(opens_models PRIVATE kvtransfer::model)
add_test(NAME opens_models COMMAND opens_models)
